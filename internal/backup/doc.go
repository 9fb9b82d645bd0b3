// Package backup takes what Muster cannot make anew, the log and a few tables,
// out to a folder or an object store, and brings it back.
//
// A place holds backups, each under an id of its own, which sorts by time:
//
//	20261127T233000.000Z/
//	  begun.json                                  which backup it goes on from
//	  log/muster.eve.v1/0003/00…0042-00…0977.seg  records of one partition
//	  tables/ingest.token.copy.zst                rows, as Postgres' COPY writes them
//	  secret-key.age                              only if asked for
//	  manifest.json                               what is there, with hashes; written last
//
// A backup without a manifest is none: it was interrupted, and the next call
// goes on with it. A backup that goes on from another one holds of the log only
// what came since; its manifest names the other and the hash of its manifest, so
// that a chain is whole or is refused. Tables are in every backup as a whole.
//
// The offsets at which the log is cut are taken first and the tables last, so
// that a backup of a running Muster is consistent: see [Take].
//
// Record for record, partition, offset, key, headers, value and time are kept.
// [Restore] brings records back to the same offsets, so that whatever names a
// position, in an event, an export or somebody's notes, still names the same
// fact.
package backup

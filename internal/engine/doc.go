// Package engine runs the engines that Muster embeds when none are given to it: Kafka (franz-go's kfake, in process), Postgres and
// ClickHouse (children of their own), all on loopback and all below one data folder.
//
// [Open] is the whole of it: it guards the data folder, starts what has no external address, and stops it in reverse order. The
// parts are packages of their own: supervise keeps a child process running, postgres and kafka run one engine each, and enginetest
// gives tests the same engines.
package engine

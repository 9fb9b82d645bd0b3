// Package eventlog is the log: it keeps Muster's events in Kafka and is the
// only package that speaks Kafka's protocol.
//
//   - [Manifest] states what the topics must look like and checks it at start.
//   - [Appender] appends events, keeping the order of each stream.
//   - [Consumer] reads batches from offsets that its caller owns; projectors
//     and replays are built on it.
//   - [Reader] reads ranges, streams and single positions for auditors.
//   - [Reactors] hands events one at a time to functions with side effects.
//
// Appending and reacting go through watermill, batch reading through franz-go.
// Both must agree on where a stream lies, so one partitioner is used for all
// writers: see [PartitionOf].
package eventlog

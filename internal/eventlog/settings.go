package eventlog

// Kafka's names of topic settings that the manifest states more than once.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionBytes = "retention.bytes"
	retentionMS    = "retention.ms"
	segmentMS      = "segment.ms"
)

// isTopicSetting tells whether Kafka knows a topic setting of that name. The
// list is Kafka 4's TopicConfig with the two replication throttles; brokers
// cannot be asked, for not all of them refuse unknown names.
func isTopicSetting(name string) bool {
	switch name {
	case cleanupPolicy,
		"compression.gzip.level",
		"compression.lz4.level",
		"compression.type",
		"compression.zstd.level",
		"delete.retention.ms",
		"file.delete.delay.ms",
		"flush.messages",
		"flush.ms",
		"follower.replication.throttled.replicas",
		"index.interval.bytes",
		"leader.replication.throttled.replicas",
		"local.retention.bytes",
		"local.retention.ms",
		"max.compaction.lag.ms",
		"max.message.bytes",
		"message.timestamp.after.max.ms",
		"message.timestamp.before.max.ms",
		"message.timestamp.type",
		"min.cleanable.dirty.ratio",
		"min.compaction.lag.ms",
		"min.insync.replicas",
		"preallocate",
		"remote.log.copy.disable",
		"remote.log.delete.on.disable",
		"remote.storage.enable",
		retentionBytes,
		retentionMS,
		"segment.bytes",
		"segment.index.bytes",
		"segment.jitter.ms",
		segmentMS,
		"unclean.leader.election.enable":
		return true
	default:
		return false
	}
}

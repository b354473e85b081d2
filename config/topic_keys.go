package config

const (
	never = "9223372036854775807"

	noCleaner     = "Compaction keeps every record until the cleaner comes."
	noTiers       = "There is no tiered storage yet."
	noRecompress  = "Batches are stored as the producer compressed them."
	alwaysDurable = "Every acknowledged record is on the disk already (durability=disk)."
	oneCopy       = "One copy is kept, and it is durable before it is acknowledged."
	ownFiles      = "Segments and their index have a layout of their own."
)

// topicKeys are the keys of a topic: Kafka's names, types, defaults, synonyms.
var topicKeys = []Key{
	{Name: "cleanup.policy", Type: List, Default: "delete", Allowed: listOf("compact", "delete"), Synonyms: []string{"log.cleanup.policy"},
		Doc: "What happens to old records: delete drops whole segments by age and size, compact keeps the last record of each key, empty keeps everything. With compact every record must have a key.",
		Why: "compact is accepted and keys are enforced; nothing is compacted yet."},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Allowed: between(1, 9).or("-1"), Synonyms: []string{"compression.gzip.level"}, Effect: Stored, Why: noRecompress,
		Doc: "How hard gzip works when the broker compresses; -1 is gzip's own choice."},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Allowed: between(1, 17), Synonyms: []string{"compression.lz4.level"}, Effect: Stored, Why: noRecompress,
		Doc: "How hard lz4 works when the broker compresses."},
	{Name: "compression.type", Type: String, Default: "producer", Allowed: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), Synonyms: []string{"compression.type"}, Effect: Stored,
		Doc: "How stored batches are compressed; producer leaves them as they came.", Why: noRecompress},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Allowed: between(-131072, 22), Synonyms: []string{"compression.zstd.level"}, Effect: Stored, Why: noRecompress,
		Doc: "How hard zstd works when the broker compresses."},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Allowed: atLeast(0), Synonyms: []string{"log.cleaner.delete.retention.ms"}, Effect: Stored, Why: noCleaner,
		Doc: "How long a compacted topic keeps the mark that a key was deleted."},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", Allowed: atLeast(0), Synonyms: []string{"log.segment.delete.delay.ms"}, Effect: Needless, Why: "A removed segment goes when its last reader has left.",
		Doc: "How long a removed segment's file stays."},
	{Name: "flush.messages", Type: Long, Default: never, Allowed: atLeast(1), Synonyms: []string{"log.flush.interval.messages"}, Effect: Needless, Why: alwaysDurable,
		Doc: "After how many records the log is forced to disk."},
	{Name: "flush.ms", Type: Long, Default: never, Allowed: atLeast(0), Synonyms: []string{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"}, Effect: Needless, Why: alwaysDurable,
		Doc: "After how long the log is forced to disk."},
	{Name: "follower.replication.throttled.replicas", Type: List, Effect: Needless, Why: oneCopy,
		Doc: "Followers whose replication is slowed down, as partition:broker pairs or *."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Allowed: atLeast(0), Synonyms: []string{"log.index.interval.bytes"}, Effect: Needless, Why: ownFiles,
		Doc: "How many bytes of log lie between two entries of the index."},
	{Name: "leader.replication.throttled.replicas", Type: List, Effect: Needless, Why: oneCopy,
		Doc: "Leaders whose replication is slowed down, as partition:broker pairs or *."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", Allowed: atLeast(-2), Synonyms: []string{"log.local.retention.bytes"}, Effect: Stored, Why: noTiers,
		Doc: "How many bytes of a tiered partition stay on the local disk; -2 means as retention.bytes."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", Allowed: atLeast(-2), Synonyms: []string{"log.local.retention.ms"}, Effect: Stored, Why: noTiers,
		Doc: "How long records of a tiered partition stay on the local disk; -2 means as retention.ms."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: never, Allowed: atLeast(1), Synonyms: []string{"log.cleaner.max.compaction.lag.ms"}, Effect: Stored, Why: noCleaner,
		Doc: "How long a record may wait to be compacted."},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Allowed: atLeast(0), Synonyms: []string{"message.max.bytes"},
		Doc: "The largest batch of records that is taken, as it comes over the wire."},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Allowed: atLeast(0), Synonyms: []string{"log.message.timestamp.after.max.ms"},
		Doc: "How far in the future a record's time may lie, by the broker's clock; not looked at with LogAppendTime."},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: never, Allowed: atLeast(0), Synonyms: []string{"log.message.timestamp.before.max.ms"},
		Doc: "How far in the past a record's time may lie, by the broker's clock; not looked at with LogAppendTime."},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Allowed: oneOf("CreateTime", "LogAppendTime"), Synonyms: []string{"log.message.timestamp.type"},
		Doc: "Whose time a record bears: the producer's (CreateTime) or the broker's on arrival (LogAppendTime)."},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Allowed: between(0, 1), Synonyms: []string{"log.cleaner.min.cleanable.ratio"}, Effect: Stored, Why: noCleaner,
		Doc: "Which part of a log must be new before it is compacted again."},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Allowed: atLeast(0), Synonyms: []string{"log.cleaner.min.compaction.lag.ms"}, Effect: Stored, Why: noCleaner,
		Doc: "How long a record is safe from being compacted."},
	{Name: "min.insync.replicas", Type: Int, Default: "1", Allowed: atLeast(1), Synonyms: []string{"min.insync.replicas"}, Effect: Needless, Why: oneCopy,
		Doc: "How many copies a record with acks=all must have before it is acknowledged."},
	{Name: "preallocate", Type: Boolean, Default: "false", Synonyms: []string{"log.preallocate"}, Effect: Needless, Why: ownFiles,
		Doc: "Whether a new segment's file gets its full size at once."},
	{Name: "remote.log.copy.disable", Type: Boolean, Default: "false", Effect: Stored, Why: noTiers,
		Doc: "Whether a tiered topic stops copying segments away."},
	{Name: "remote.log.delete.on.disable", Type: Boolean, Default: "false", Effect: Stored, Why: noTiers,
		Doc: "Whether the copies go when tiered storage is switched off."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", Allowed: only("false", "Tiered storage is not there yet"),
		Doc: "Whether sealed segments are copied to tiered storage.", Why: noTiers},
	{Name: "retention.bytes", Type: Long, Default: "-1", Synonyms: []string{"log.retention.bytes"},
		Doc: "How large a partition may grow before its oldest segments are deleted; -1 is no limit."},
	{Name: "retention.ms", Type: Long, Default: "604800000", Allowed: atLeast(-1), Synonyms: []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
		Doc: "How old a segment's newest record may grow before the segment is deleted; -1 is no limit."},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Allowed: atLeast(1048576), Synonyms: []string{"log.segment.bytes"},
		Doc: "How large a segment grows before the next begins. Retention takes whole segments."},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Allowed: atLeast(4), Synonyms: []string{"log.index.size.max.bytes"}, Effect: Needless, Why: ownFiles,
		Doc: "How large a segment's index may grow."},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Allowed: atLeast(0), Synonyms: []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}, Effect: Needless, Why: "Segments roll when they are written to, not all at once.",
		Doc: "By how much the age at which a segment ends is varied."},
	{Name: "segment.ms", Type: Long, Default: "604800000", Allowed: atLeast(1), Synonyms: []string{"log.roll.ms", "log.roll.hours"},
		Doc: "How old a segment grows before the next begins, even if it is small."},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Synonyms: []string{"unclean.leader.election.enable"}, Effect: Needless, Why: oneCopy,
		Doc: "Whether a replica that lacks acknowledged records may lead."},
}

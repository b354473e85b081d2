package config

const noNewGroups = "Groups of this protocol are not there yet."

// groupKeys are the keys of a group: Kafka's names, types, defaults, synonyms.
// They are shown, for programs ask for them; classic groups need none of them.
var groupKeys = []Key{
	{Name: "consumer.assignment.interval.ms", Type: Int, Default: "1000", Synonyms: []string{"group.consumer.assignment.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How much time lies between two assignments of a consumer group."},
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", Synonyms: []string{"group.consumer.heartbeat.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How often a member of a consumer group is told to report."},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", Synonyms: []string{"group.consumer.session.timeout.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "After how long a silent member of a consumer group is dropped."},
	{Name: "share.assignment.interval.ms", Type: Int, Default: "1000", Synonyms: []string{"group.share.assignment.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How much time lies between two assignments of a share group."},
	{Name: "share.auto.offset.reset", Type: String, Default: "latest", Synonyms: []string{"share.auto.offset.reset"}, Effect: Stored, Why: noNewGroups,
		Doc: "Where a share group begins to read a partition that it never read."},
	{Name: "share.delivery.count.limit", Type: Int, Default: "5", Synonyms: []string{"group.share.delivery.count.limit"}, Effect: Stored, Why: noNewGroups,
		Doc: "How often a share group tries to hand out a record."},
	{Name: "share.heartbeat.interval.ms", Type: Int, Default: "5000", Synonyms: []string{"group.share.heartbeat.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How often a member of a share group is told to report."},
	{Name: "share.isolation.level", Type: String, Default: "read_uncommitted", Synonyms: []string{"share.isolation.level"}, Effect: Stored, Why: noNewGroups,
		Doc: "Whether a share group also reads records of transactions that were not committed."},
	{Name: "share.partition.max.record.locks", Type: Int, Default: "2000", Synonyms: []string{"group.share.partition.max.record.locks"}, Effect: Stored, Why: noNewGroups,
		Doc: "How many records of a partition a share group has in hand at once."},
	{Name: "share.record.lock.duration.ms", Type: Int, Default: "30000", Synonyms: []string{"group.share.record.lock.duration.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How long a member of a share group may keep a record before another gets it."},
	{Name: "share.renew.acknowledge.enable", Type: Boolean, Default: "true", Synonyms: []string{"share.renew.acknowledge.enable"}, Effect: Stored, Why: noNewGroups,
		Doc: "Whether a member of a share group may ask for more time for a record."},
	{Name: "share.session.timeout.ms", Type: Int, Default: "45000", Synonyms: []string{"group.share.session.timeout.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "After how long a silent member of a share group is dropped."},
	{Name: "streams.assignment.interval.ms", Type: Int, Default: "1000", Synonyms: []string{"group.streams.assignment.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How much time lies between two assignments of a streams group."},
	{Name: "streams.heartbeat.interval.ms", Type: Int, Default: "5000", Synonyms: []string{"group.streams.heartbeat.interval.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How often a member of a streams group is told to report."},
	{Name: "streams.initial.rebalance.delay.ms", Type: Int, Default: "3000", Synonyms: []string{"group.streams.initial.rebalance.delay.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "How long a new streams group waits for more members."},
	{Name: "streams.num.standby.replicas", Type: Int, Default: "0", Synonyms: []string{"group.streams.num.standby.replicas"}, Effect: Stored, Why: noNewGroups,
		Doc: "How many spare copies a streams group keeps of each task."},
	{Name: "streams.session.timeout.ms", Type: Int, Default: "45000", Synonyms: []string{"group.streams.session.timeout.ms"}, Effect: Stored, Why: noNewGroups,
		Doc: "After how long a silent member of a streams group is dropped."},
}

const noMetrics = "Clients' metrics are not asked for yet."

// metricsKeys are the keys of a subscription to clients' metrics.
var metricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Effect: Stored, Why: noMetrics, Doc: "How often clients send metrics."},
	{Name: "match", Type: List, Effect: Stored, Why: noMetrics, Doc: "Which clients send metrics."},
	{Name: "metrics", Type: List, Effect: Stored, Why: noMetrics, Doc: "Which metrics clients send, by the beginnings of their names."},
}

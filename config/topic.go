package config

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckTopic says whether a topic may set a key to a value; nil is no value.
// The words are Kafka's, for clients show them.
func CheckTopic(name string, value *string) error {
	key := TopicKey(name)
	switch {
	case key == nil:
		return fmt.Errorf("Unknown topic config name: %s", name) //nolint:staticcheck // Kafka's words
	case value == nil:
		return fmt.Errorf("Null value not supported for topic configs: %s", name) //nolint:staticcheck // Kafka's words
	}
	return key.Check(strings.TrimSpace(*value))
}

// CheckTopic is the same for all who hold a Broker.
func (b *Broker) CheckTopic(name string, value *string) error { return CheckTopic(name, value) }

// Topic is the effective configuration of a topic that sets these keys. What
// is invalid among them is passed over: it was checked before it was stored.
func (b *Broker) Topic(overrides map[string]string) Topic {
	t := b.topic
	for name, value := range overrides {
		if CheckTopic(name, &value) == nil {
			t.apply(name, strings.TrimSpace(value))
		}
	}
	return t
}

// topicDefaults is the configuration of a topic that sets nothing.
func (b *Broker) topicDefaults() Topic {
	var t Topic
	for i := range topicKeys {
		t.apply(topicKeys[i].Name, b.topicValue(&topicKeys[i]))
	}
	return t
}

// apply sets the field that a key stands for; most keys have none.
func (t *Topic) apply(name, value string) {
	n, _ := strconv.ParseInt(value, 10, 64)
	switch name {
	case "cleanup.policy":
		t.Compact, t.Delete = false, false
		for _, policy := range splitList(value) {
			t.Compact = t.Compact || policy == "compact"
			t.Delete = t.Delete || policy == "delete"
		}
	case "retention.ms":
		t.RetentionTime = n
	case "retention.bytes":
		t.RetentionBytes = max(n, -1)
	case "segment.bytes":
		t.SegmentBytes = n
	case "segment.ms":
		t.SegmentTime = n
	case "max.message.bytes":
		t.MaxMessageBytes = int(n)
	case "message.timestamp.type":
		t.LogAppendTime = value == "LogAppendTime"
	case "message.timestamp.before.max.ms":
		t.TimestampBeforeMax = n
	case "message.timestamp.after.max.ms":
		t.TimestampAfterMax = n
	case "delete.retention.ms":
		t.DeleteRetentionTime = n
	}
}

// topicValue is a topic key's value when the topic does not set it: the
// instance's under the nearest synonym that is set, in the topic key's unit.
func (b *Broker) topicValue(key *Key) string {
	for _, synonym := range key.Synonyms {
		if s, ok := b.set[synonym]; ok {
			return inMillis(synonym, s.value)
		}
	}
	return key.Default
}

// inMillis turns the value of a key in minutes or hours into milliseconds.
// Kafka takes every negative time for no limit.
func inMillis(name, value string) string {
	unit := int64(0)
	switch {
	case strings.HasSuffix(name, ".minutes"):
		unit = 60_000
	case strings.HasSuffix(name, ".hours"):
		unit = 3_600_000
	case name == "log.retention.ms":
		unit = 1
	default:
		return value
	}
	n, _ := strconv.ParseInt(value, 10, 64)
	return strconv.FormatInt(max(n*unit, -1), 10)
}

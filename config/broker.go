package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Broker is the configuration of one instance. It never changes.
type Broker struct {
	set   map[string]setting // what was given, valid
	topic Topic              // of a topic that sets nothing
}

// Keys is the table: the instance's keys, then a topic's.
func Keys() []Key {
	all := make([]Key, 0, len(brokerKeys)+len(topicKeys))
	all = append(all, brokerKeys...)
	for _, k := range topicKeys {
		k.Scope = OfTopic
		all = append(all, k)
	}
	return all
}

// BrokerKey is an instance's key, or nil. It is not to be changed.
func BrokerKey(name string) *Key { return find(brokerKeys, name) }

// TopicKey is a topic's key, or nil. It is not to be changed.
func TopicKey(name string) *Key { return find(topicKeys, name) }

func find(table []Key, name string) *Key {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// String is a key's value: what was set, else what a synonym was set to, else
// the default; empty for an unset key. It panics on a key without a row, for
// that is our own mistake.
func (b *Broker) String(name string) string {
	key := BrokerKey(name)
	if key == nil {
		panic("config: no key " + name)
	}
	if s, ok := b.given(key); ok {
		return s.value
	}
	return key.Default
}

// IsSet says whether a key was given a value by file, environment or flag.
func (b *Broker) IsSet(name string) bool {
	key := BrokerKey(name)
	if key == nil {
		return false
	}
	_, ok := b.given(key)
	return ok
}

// given is what was set for a key, under its own name or a synonym's.
func (b *Broker) given(key *Key) (setting, bool) {
	if s, ok := b.set[key.Name]; ok {
		return s, true
	}
	for _, synonym := range key.Synonyms {
		if s, ok := b.set[synonym]; ok {
			return s, true
		}
	}
	return setting{}, false
}

// ListenerString is a key's value on one listener, else the instance's.
func (b *Broker) ListenerString(listener, name string) string {
	if s, ok := b.set[listenerPrefix+strings.ToLower(listener)+"."+name]; ok {
		return s.value
	}
	return b.String(name)
}

// Int is a key's value as a number; 0 for an unset key.
func (b *Broker) Int(name string) int64 {
	n, _ := strconv.ParseInt(b.String(name), 10, 64)
	return n
}

// Bool is a key's value as a boolean.
func (b *Broker) Bool(name string) bool { return strings.EqualFold(b.String(name), "true") }

// Millis is a key's value in milliseconds as a duration, at most the longest.
func (b *Broker) Millis(name string) time.Duration { return millis(b.Int(name)) }

func millis(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(max(-most, min(n, most))) * time.Millisecond
}

// List is a key's value taken apart at its commas.
func (b *Broker) List(name string) []string { return splitList(b.String(name)) }

// SuperUsers are the names in super.users. Only users can be named, as
// User:name; Kafka separates them by semicolons.
func (b *Broker) SuperUsers() []string {
	var names []string
	for _, one := range strings.Split(b.String("super.users"), ";") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(one), "User:"); ok && name != "" {
			names = append(names, name)
		}
	}
	return names
}

package config

import (
	"slices"
	"strings"
)

// DescribeTopic shows every key of a topic that sets these, sorted by name.
func (b *Broker) DescribeTopic(overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(topicKeys))
	for i := range topicKeys {
		key := &topicKeys[i]
		value, set := overrides[key.Name]
		if !set {
			value = b.topicValue(key)
		}
		e := entryOf(key, &value)
		e.ReadOnly = false
		e.Synonyms = b.synonyms(key)
		if set {
			e.Synonyms = append([]Synonym{{Name: key.Name, Value: &value, Source: SourceTopic}}, e.Synonyms...)
		}
		e.settle()
		entries = append(entries, e)
	}
	return entries
}

// DescribeBroker shows every key of the instance, sorted by name.
func (b *Broker) DescribeBroker() []Entry {
	entries := make([]Entry, 0, len(brokerKeys))
	for i := range brokerKeys {
		key := &brokerKeys[i]
		var value *string
		if given := b.String(key.Name); !key.Unset || given != "" {
			value = &given
		}
		e := entryOf(key, value)
		own := *key
		own.Synonyms = append([]string{key.Name}, key.Synonyms...)
		e.Synonyms = b.synonyms(&own)
		e.settle()
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// DescribeGroup shows what a group of Kafka 4's protocols is configured with,
// sorted by name. Nothing of it can be set here.
func (b *Broker) DescribeGroup() []Entry { return defaults(groupKeys) }

// DescribeMetrics shows what clients are told about the metrics that they send:
// nothing, so that they send none.
func (b *Broker) DescribeMetrics() []Entry { return defaults(metricsKeys) }

// defaults shows keys that nobody can set.
func defaults(keys []Key) []Entry {
	entries := make([]Entry, 0, len(keys))
	for i := range keys {
		key := &keys[i]
		e := entryOf(key, &key.Default)
		for _, name := range key.Synonyms {
			e.Synonyms = append(e.Synonyms, Synonym{Name: name, Value: &key.Default, Source: SourceDefault})
		}
		e.settle()
		entries = append(entries, e)
	}
	return entries
}

func entryOf(key *Key, value *string) Entry {
	doc := key.Doc
	if key.Effect != Honoured {
		doc += " (" + key.Effect.String() + ": " + key.Why + ")"
	}
	return Entry{Name: key.Name, Value: value, Type: key.Type, ReadOnly: key.Fixed, Sensitive: key.Sensitive(), Doc: doc}
}

// synonyms are the places that a key's value can come from: first all that
// were set, then the defaults. As in Kafka, a default under another name is
// left out where it comes first, since its unit may be another.
func (b *Broker) synonyms(key *Key) []Synonym {
	var places []Synonym
	for _, name := range key.Synonyms {
		if s, ok := b.set[name]; ok {
			places = append(places, Synonym{Name: name, Value: &s.value, Source: SourceStaticBroker})
		}
	}
	for _, name := range key.Synonyms {
		if broker := BrokerKey(name); broker != nil && !broker.Unset {
			places = append(places, Synonym{Name: name, Value: &broker.Default, Source: SourceDefault})
		}
	}
	for len(places) > 0 && places[0].Source == SourceDefault && places[0].Name != key.Synonyms[0] {
		places = places[1:]
	}
	return places
}

// settle takes the source from the nearest place, and hides what is secret.
func (e *Entry) settle() {
	e.Source = SourceDefault
	if len(e.Synonyms) > 0 {
		e.Source = e.Synonyms[0].Source
	}
	if !e.Sensitive {
		return
	}
	e.Value = nil
	for i := range e.Synonyms {
		e.Synonyms[i].Value = nil
	}
}

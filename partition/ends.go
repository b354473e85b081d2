package partition

import (
	"bytes"
	"slices"

	"milena/machine/cluster"
	"milena/machine/producer"
)

// End is where what can be read of a partition ends.
type End struct {
	Topic     *cluster.Topic
	Partition int32
	Next      int64
}

// Ends gives, of all partitions of these topics, those that lie in a shard, used
// or not, and where each ends.
func (t *Table) Ends(shard int, topics []*cluster.Topic) []End {
	s := t.shards[shard]
	var ends []End
	for _, topic := range topics {
		for index := range topic.Partitions {
			if k := (key{topic.ID, index}); t.shardOf(k) == s {
				ends = append(ends, End{Topic: topic, Partition: index, Next: s.readable(k)})
			}
		}
	}
	return ends
}

func (s *shardState) readable(k key) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.parts[k]; p != nil {
		return p.Bounds().HighWatermark
	}
	return 0
}

// CutBack lets a shard's partitions go on where what can be read of them ends:
// a snapshot may know of batches whose bytes damage took before they settled.
func (t *Table) CutBack(shard int) {
	s := t.shards[shard]
	s.log.Lock()
	defer s.log.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.parts {
		p.cutBack(p.Bounds().HighWatermark)
	}
}

// cutBack forgets what is above an offset, and who wrote it. Under the log's lock.
func (p *part) cutBack(end int64) {
	if p.next <= end {
		return
	}
	p.next = end
	for id, window := range p.producers {
		if slices.ContainsFunc(window.Batches, func(b producer.Batch) bool { return b.Base >= end }) {
			delete(p.producers, id)
		}
	}
}

// Unknown gives the topics that partitions belong to and that nobody knows: what
// can be said of them is their name, their id, and how many partitions they have
// at least.
func (t *Table) Unknown(known func(id [16]byte) bool) []cluster.NewTopic {
	found := make(map[[16]byte]cluster.NewTopic)
	for _, p := range t.all() {
		if known(p.key.id) {
			continue
		}
		topic := found[p.key.id]
		topic.Name, topic.ID, topic.Replication = p.name, p.key.id, 1
		topic.Partitions = max(topic.Partitions, p.key.index+1)
		found[p.key.id] = topic
	}
	topics := make([]cluster.NewTopic, 0, len(found))
	for _, topic := range found {
		topics = append(topics, topic)
	}
	slices.SortFunc(topics, func(a, b cluster.NewTopic) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return topics
}

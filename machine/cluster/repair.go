package cluster

import (
	"time"

	"milena/machine"
)

// How far numbers jump when entries of this log are lost that may have given
// some away: beyond what any journal holds.
const (
	producerJump = 1 << 40
	epochJump    = 1000
)

// RaiseEpochs decides that clients must see that these topics may have lost
// offsets that were shown.
func (c *Cluster) RaiseEpochs(ids [][16]byte) []machine.Fact {
	var facts []machine.Fact
	for _, id := range ids {
		if t, ok := c.byID[id]; ok {
			facts = append(facts, EpochRaised{ID: id, Epoch: t.Epoch + 1})
		}
	}
	return facts
}

// Lost decides what makes up for entries of this log that are lost: no producer
// id and no epoch that they may have given is given again, and topics that are
// known by their data alone are there again, unless their name is taken.
func (c *Cluster) Lost(now time.Time, found []NewTopic) []machine.Fact {
	above := c.highestEpoch() + epochJump
	facts := []machine.Fact{FloorRaised{above}, ProducersGiven{c.next + producerJump}}
	for _, t := range c.Topics() {
		facts = append(facts, EpochRaised{ID: t.ID, Epoch: above})
	}
	made, _ := c.CreateTopics(now, found)
	for _, f := range made {
		created := f.(TopicCreated)
		created.Topic.Epoch = above
		facts = append(facts, created)
	}
	return facts
}

// Knows says that an id is a topic's, or a deleted one's whose data is still to
// be dropped.
func (c *Cluster) Knows(id [16]byte) bool {
	_, live := c.byID[id]
	_, open := c.dropping[id]
	return live || open
}

func (c *Cluster) highestEpoch() int32 {
	highest := c.floor
	for _, t := range c.topics {
		highest = max(highest, t.Epoch)
	}
	for _, last := range c.gone {
		highest = max(highest, last)
	}
	return highest
}

// raise gives a topic a higher epoch. Its old value stays as it is.
func (c *Cluster) raise(f EpochRaised) {
	t, ok := c.byID[f.ID]
	if !ok {
		return
	}
	raised := *t
	raised.Epoch = f.Epoch
	c.topics[raised.Name], c.byID[raised.ID] = &raised, &raised
}

package cluster

import "maps"

// Snapshot is all that a Cluster remembers, as values that never change.
type Snapshot struct {
	Topics   []*Topic
	Dropping []*Topic
	Gone     map[string]int32
	Floor    int32
	Users    []*User
	Next     int64
}

// Snapshot copies what the cluster remembers.
func (c *Cluster) Snapshot() Snapshot {
	return Snapshot{
		Topics:   c.Topics(),
		Dropping: c.Dropping(),
		Gone:     maps.Clone(c.gone),
		Floor:    c.floor,
		Users:    c.Users(),
		Next:     c.next,
	}
}

// Restore makes a cluster of a snapshot.
func Restore(s Snapshot) *Cluster {
	c := New()
	for _, t := range s.Topics {
		c.Apply(TopicCreated{*t})
	}
	for _, t := range s.Dropping {
		c.dropping[t.ID] = t
	}
	for _, u := range s.Users {
		c.users[u.Name] = u
	}
	if s.Gone != nil {
		c.gone = s.Gone
	}
	c.floor, c.next = s.Floor, s.Next
	return c
}

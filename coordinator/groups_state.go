package coordinator

import (
	"sync"

	"milena/machine"
	"milena/machine/group/classic"
	"milena/shard"
	"milena/shard/fact"
)

// groupShard is the groups of one coordinator log.
type groupShard struct {
	groups *Groups
	log    *shard.Log

	mu  sync.Mutex // guards all; a leaf below the log's lock
	all map[string]*group
}

func (s *groupShard) list() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := make([]*group, 0, len(s.all))
	for _, one := range s.all {
		groups = append(groups, one)
	}
	return groups
}

// group finds a group, or makes it.
func (s *groupShard) group(id string, make bool) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[id]
	if one == nil && make {
		one = s.newGroup(id)
		s.all[id] = one
	}
	return one
}

func (s *groupShard) newGroup(id string) *group {
	return &group{
		shard: s, id: id, machine: classic.New(id, s.groups.classic, s.groups.o.Now()),
		waiting: make(map[machine.Ticket]chan machine.Reply),
	}
}

func (s *groupShard) forget(one *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if s.all[one.id] == one && one.machine.Vacant() && one.machine.Describe().State == classic.Dead && !one.busy && len(one.waiting) == 0 {
		delete(s.all, one.id)
		one.gone = true
		if one.timer != nil {
			one.timer.Stop()
		}
	}
}

// Load replaces the shard's groups by those of a snapshot.
func (s *groupShard) Load(body []byte) error {
	facts, err := fact.LoadGroups(body)
	if err != nil {
		return err
	}
	return s.applyAll(facts)
}

func (s *groupShard) applyAll(facts func(func(fact.GroupFact, error) bool)) error {
	for f, err := range facts {
		if err != nil {
			return err
		}
		one := s.group(f.Group, true)
		one.mu.Lock()
		one.machine.Apply(f.Fact)
		one.mu.Unlock()
	}
	return nil
}

// Replay applies an entry that was read back.
func (s *groupShard) Replay(_ uint64, body []byte, known bool) error {
	if known {
		return nil
	}
	return s.applyAll(fact.Groups(body))
}

// Freeze gives facts that add up to every group.
func (s *groupShard) Freeze() func() []byte {
	var facts []machine.Fact
	for _, one := range s.list() {
		one.mu.Lock()
		facts = append(facts, one.machine.Facts()...)
		one.mu.Unlock()
	}
	return func() []byte { return fact.SaveGroups(facts) }
}

// Drop has nothing to forget here: a group whose entry was not taken is dropped
// by its answer.
func (s *groupShard) Drop() {}

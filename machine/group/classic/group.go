package classic

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

// Options of all groups of a broker.
type Options struct {
	SessionMin, SessionMax time.Duration
	InitialDelay           time.Duration // group.initial.rebalance.delay.ms
	SizeMax                int
	Retention              time.Duration // of offsets of a group without members
	NewMember              func(clientID string) string
}

// emptyLife is how long a group without members and offsets is remembered.
const emptyLife = 10 * time.Minute

// Member is one member of a generation.
type Member struct {
	ID               string
	Instance         *string
	ClientID, Host   string
	Protocols        []Protocol
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	Assignment       []byte
}

// Facts.
type (
	// Generation: these are the members now. None: the group is empty.
	Generation struct {
		Group        string
		Number       int32
		ProtocolType string
		Protocol     string
		Leader       string
		Members      []Member
	}
	// Assigned: the leader has brought everybody's assignment.
	Assigned struct {
		Group       string
		Assignments map[string][]byte
	}
	// Replaced: a static member came back under a new id.
	Replaced struct {
		Group string
		Old   string
		New   Member
	}
	// Committed: these offsets are committed.
	Committed struct {
		Group   string
		Offsets []Offset
	}
	// Uncommitted: these offsets are gone.
	Uncommitted struct {
		Group string
		Of    []Partition
	}
	// Gone: nothing is left of the group.
	Gone struct{ Group string }
)

// Partition names a partition of a committed offset.
type Partition struct {
	Topic     string
	Partition int32
}

// Group is the machine.
type Group struct {
	ID string
	o  Options

	// durable: written by Apply
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*Member
	assigned     bool // the generation's assignment is there
	offsets      map[Partition]Offset

	// volatile
	state    State
	next     map[string]*joiner        // who joined the generation to come
	order    []string                  // in which they joined first
	reserved map[string]time.Time      // member ids that were told (79), until when
	syncing  map[string]machine.Ticket // who waits for the assignment
	synced   map[string]bool           // who has asked for it
	silent   map[string]time.Time      // when each member's session ends
	until    time.Time                 // the rebalance, or the wait for everybody's Sync
	delay    time.Time                 // more members may still arrive
	empty    time.Time                 // since when there are no members
}

// joiner waits for the generation to come.
type joiner struct {
	member Member
	join   Join
	ticket machine.Ticket // 0: nobody waits
}

// New makes an empty group.
func New(id string, o Options, now time.Time) *Group {
	return &Group{
		ID: id, o: o, state: Empty, empty: now,
		members: make(map[string]*Member), offsets: make(map[Partition]Offset),
		next: make(map[string]*joiner), reserved: make(map[string]time.Time),
		syncing: make(map[string]machine.Ticket), synced: make(map[string]bool), silent: make(map[string]time.Time),
	}
}

// Wake begins the volatile part of a group that was loaded: deadlines at full
// length.
func (g *Group) Wake(now time.Time) {
	g.empty = now
	switch {
	case len(g.members) == 0:
		g.state = Empty
	case g.assigned:
		g.state = Stable
	default:
		g.state, g.until = CompletingRebalance, now.Add(g.rebalanceTimeout())
	}
	for id, m := range g.members {
		g.silent[id] = now.Add(m.SessionTimeout)
	}
}

// Vacant says that nothing of the group needs to be remembered.
func (g *Group) Vacant() bool {
	return len(g.members) == 0 && len(g.next) == 0 && len(g.reserved) == 0 && len(g.offsets) == 0
}

// Apply remembers a fact.
func (g *Group) Apply(fact machine.Fact) {
	switch f := fact.(type) {
	case Generation:
		g.generation, g.protocolType, g.protocol, g.leader, g.assigned = f.Number, f.ProtocolType, f.Protocol, f.Leader, false
		g.members = make(map[string]*Member, len(f.Members))
		for _, m := range f.Members {
			g.members[m.ID] = &m
		}
	case Assigned:
		g.assigned = true
		for id, m := range g.members {
			m.Assignment = f.Assignments[id]
		}
	case Replaced:
		member := f.New
		delete(g.members, f.Old)
		g.members[member.ID] = &member
		if g.leader == f.Old {
			g.leader = member.ID
		}
	case Committed:
		for _, o := range f.Offsets {
			g.offsets[Partition{o.Topic, o.Partition}] = o
		}
	case Uncommitted:
		for _, p := range f.Of {
			delete(g.offsets, p)
		}
	case Gone:
		g.members, g.offsets = make(map[string]*Member), make(map[Partition]Offset)
		g.generation, g.protocolType, g.protocol, g.leader, g.assigned = 0, "", "", "", false
	}
}

// Facts gives facts that add up to what is durable of the group.
func (g *Group) Facts() []machine.Fact {
	var facts []machine.Fact
	if g.generation > 0 {
		f := Generation{Group: g.ID, Number: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, Members: g.sorted()}
		facts = append(facts, f)
		if g.assigned {
			assignments := make(map[string][]byte, len(g.members))
			for id, m := range g.members {
				assignments[id] = m.Assignment
			}
			facts = append(facts, Assigned{Group: g.ID, Assignments: assignments})
		}
	}
	if len(g.offsets) > 0 {
		facts = append(facts, Committed{Group: g.ID, Offsets: g.Offsets(nil)})
	}
	return facts
}

func (g *Group) sorted() []Member {
	var members []Member
	for _, m := range g.members {
		members = append(members, *m)
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}

func reply(to machine.Ticket, value any) machine.Reply { return machine.Reply{To: to, Value: value} }

func refuse(to machine.Ticket, err error) machine.Decision {
	return machine.Decision{Then: []machine.Action{machine.Reply{To: to, Err: err}}}
}

// Heartbeat keeps a member alive until its next session timeout. It records
// nothing, so it is answered from what is there.
func (g *Group) Heartbeat(now time.Time, beat Heartbeat) error {
	member, err := g.member(beat.Member, beat.Instance)
	switch {
	case err != nil:
		return err
	case beat.Generation != g.generation:
		return kerr.IllegalGeneration
	}
	g.silent[member.ID] = now.Add(member.SessionTimeout)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// member finds a member by its id, or, static, by its instance.
func (g *Group) member(id string, instance *string) (*Member, error) {
	if instance != nil {
		static := g.static(*instance)
		switch {
		case static == nil:
			return nil, kerr.UnknownMemberID
		case static.ID != id:
			return nil, kerr.FencedInstanceID
		}
		return static, nil
	}
	if m := g.members[id]; m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

// static finds the member of an instance, among the members and who joins.
func (g *Group) static(instance string) *Member {
	for _, j := range g.next {
		if j.member.Instance != nil && *j.member.Instance == instance {
			return &j.member
		}
	}
	for _, m := range g.members {
		if m.Instance != nil && *m.Instance == instance {
			return m
		}
	}
	return nil
}

// Deadline is when Tick has something to do; zero: never.
func (g *Group) Deadline() time.Time {
	var first time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	sooner(g.until)
	sooner(g.delay)
	for _, t := range g.reserved {
		sooner(t)
	}
	for id, t := range g.silent {
		if _, waits := g.waiting(id); !waits {
			sooner(t)
		}
	}
	if len(g.members) == 0 && len(g.next) == 0 {
		if len(g.offsets) == 0 && len(g.reserved) == 0 && g.generation > 0 {
			sooner(g.empty.Add(emptyLife))
		}
		for _, o := range g.offsets {
			sooner(g.expires(o))
		}
	}
	return first
}

func (g *Group) expires(o Offset) time.Time {
	if !o.Expires.IsZero() {
		return o.Expires
	}
	since := o.CommitTime
	if g.protocolType != "" && g.empty.After(since) {
		since = g.empty
	}
	return since.Add(g.o.Retention)
}

// waiting says that a member has a request parked: then it is not silent.
func (g *Group) waiting(id string) (machine.Ticket, bool) {
	if j := g.next[id]; j != nil && j.ticket != 0 {
		return j.ticket, true
	}
	t, ok := g.syncing[id]
	return t, ok
}

// Tick does what is due.
func (g *Group) Tick(now time.Time) machine.Decision {
	for id, until := range g.reserved {
		if !until.After(now) {
			delete(g.reserved, id)
		}
	}
	var d machine.Decision
	for id, until := range g.silent {
		if _, waits := g.waiting(id); !waits && !until.After(now) {
			g.remove(now, id, &d)
		}
	}
	switch {
	case g.state == PreparingRebalance && (due(g.until, now) || due(g.delay, now)):
		if due(g.until, now) {
			g.complete(now, &d)
		} else {
			g.delay = time.Time{}
			g.maybeComplete(now, &d)
		}
	case (g.state == CompletingRebalance || g.state == Stable) && due(g.until, now):
		g.dropUnsynced(now, &d)
	}
	g.expire(now, &d)
	return d
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// dropUnsynced removes who took part in the rebalance and never asked for its
// assignment, also when the leader has brought it since.
func (g *Group) dropUnsynced(now time.Time, d *machine.Decision) {
	g.until = time.Time{}
	for _, id := range g.unsynced() { // all at once: the first to go begins the next rebalance
		g.leave(now, id, d)
	}
	g.maybeComplete(now, d)
}

// unsynced gives the members that have not asked for their assignment.
func (g *Group) unsynced() []string {
	var ids []string
	for _, m := range g.sorted() {
		if !g.synced[m.ID] {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (g *Group) expire(now time.Time, d *machine.Decision) {
	if len(g.members) > 0 || len(g.next) > 0 {
		return
	}
	if len(g.offsets) == 0 {
		if len(g.reserved) == 0 && due(g.empty.Add(emptyLife), now) && g.generation > 0 {
			d.Record = append(d.Record, Gone{Group: g.ID})
		}
		return
	}
	var old []Partition
	for p, o := range g.offsets {
		if due(g.expires(o), now) {
			old = append(old, p)
		}
	}
	switch {
	case len(old) == len(g.offsets):
		d.Record = append(d.Record, Gone{Group: g.ID})
	case len(old) > 0:
		d.Record = append(d.Record, Uncommitted{Group: g.ID, Of: old})
	}
}

package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/group/classic"
	"milena/shard"
	"milena/shard/fact"
)

// GroupOptions are the limits and habits of all groups.
type GroupOptions struct {
	Logs       int
	SessionMin time.Duration
	SessionMax time.Duration
	Delay      time.Duration // group.initial.rebalance.delay.ms
	SizeMax    int
	Retention  time.Duration // offsets.retention.minutes
	AutoCreate bool          // auto.create.groups.enable
	Now        func() time.Time
}

const memberNameMax = 100 // bytes of the client id that a member id begins with

// Groups runs every group. It is a GroupService.
type Groups struct {
	o       GroupOptions
	classic classic.Options
	shards  []*groupShard
	stopped chan struct{}
	once    sync.Once
}

// groupShard is the groups of one coordinator log.
type groupShard struct {
	groups *Groups
	log    *shard.Log

	mu  sync.Mutex // guards all; a leaf below the log's lock
	all map[string]*group
}

// group runs one group's machine. One entry is under way at a time; what comes
// meanwhile waits in the mailbox.
type group struct {
	shard *groupShard
	id    string

	mu      sync.Mutex // a leaf below the log's lock
	machine *classic.Group
	mailbox []func(now time.Time, to machine.Ticket) machine.Decision
	tickets []machine.Ticket // of the mailbox, in its order
	busy    bool             // somebody empties the mailbox
	waiting map[machine.Ticket]chan machine.Reply
	last    machine.Ticket
	timer   *time.Timer
	gone    bool // dropped: look the group up again
}

// NewGroups makes the groups' runtime; States go into the set of logs, Attach
// brings the logs.
func NewGroups(o GroupOptions) *Groups {
	g := &Groups{o: o, stopped: make(chan struct{})}
	g.classic = classic.Options{
		SessionMin: o.SessionMin, SessionMax: o.SessionMax, InitialDelay: o.Delay,
		SizeMax: o.SizeMax, Retention: o.Retention, NewMember: newMember,
	}
	for range o.Logs {
		g.shards = append(g.shards, &groupShard{groups: g, all: make(map[string]*group)})
	}
	return g
}

// newMember draws a member id as Kafka does: the client's name and a UUID.
func newMember(client string) string {
	var id [16]byte
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	text := hex.EncodeToString(id[:])
	client = client[:min(len(client), memberNameMax)]
	return strings.Join([]string{client, text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// States gives the states of the coordinator logs, in order.
func (g *Groups) States() []shard.State {
	states := make([]shard.State, len(g.shards))
	for i, s := range g.shards {
		states[i] = s
	}
	return states
}

// Attach gives the groups their logs, before the first call.
func (g *Groups) Attach(logs []*shard.Log) {
	for i, l := range logs {
		g.shards[i].log = l
	}
}

// Start begins the deadlines of the groups that were loaded, at full length.
func (g *Groups) Start() {
	for _, s := range g.shards {
		for _, one := range s.list() {
			one.mu.Lock()
			one.machine.Wake(g.o.Now())
			one.arm()
			one.mu.Unlock()
		}
	}
}

// Close ends all waiting.
func (g *Groups) Close() {
	g.once.Do(func() { close(g.stopped) })
	for _, s := range g.shards {
		for _, one := range s.list() {
			one.mu.Lock()
			if one.timer != nil {
				one.timer.Stop()
			}
			one.mu.Unlock()
		}
	}
}

func (g *Groups) shardOf(id string) *groupShard {
	h := fnv.New32a()
	h.Write([]byte(id))
	return g.shards[h.Sum32()%uint32(len(g.shards))]
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

// command is what a caller asks of a machine.
type command = func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision

// ask puts a command into a group's mailbox and waits for its answer.
func (g *Groups) ask(ctx context.Context, id string, create bool, c command) (any, error) {
	one := g.shardOf(id).group(id, create)
	if one == nil {
		one = g.shardOf(id).newGroup(id) // nobody's: what it answers is what an unknown group answers
	}
	return one.ask(ctx, c)
}

func (one *group) ask(ctx context.Context, c command) (any, error) {
	answered := make(chan machine.Reply, 1)
	one.mu.Lock()
	if one.gone {
		one.mu.Unlock()
		return nil, kerr.NotCoordinator
	}
	one.last++
	ticket := one.last
	one.waiting[ticket] = answered
	one.put(c, ticket)
	one.mu.Unlock()
	select {
	case r := <-answered:
		return r.Value, r.Err
	case <-ctx.Done():
		one.abandon(ticket)
		// Who still hears it is told by a broker that stops, and looks for another.
		return nil, fmt.Errorf("%w: %w", kerr.NotCoordinator, ctx.Err())
	case <-one.shard.groups.stopped:
		one.abandon(ticket)
		return nil, kerr.NotCoordinator
	}
}

func (one *group) abandon(ticket machine.Ticket) {
	one.mu.Lock()
	defer one.mu.Unlock()
	delete(one.waiting, ticket)
	one.machine.Abandon(ticket)
}

// put adds to the mailbox, and sees to it that somebody empties it. Under one.mu.
func (one *group) put(c command, ticket machine.Ticket) {
	one.mailbox = append(one.mailbox, func(now time.Time, to machine.Ticket) machine.Decision { return c(one.machine, now, to) })
	one.tickets = append(one.tickets, ticket)
	if !one.busy {
		one.busy = true
		one.step()
	}
}

// step decides what waits until a decision has to be recorded, or nothing
// waits. Under one.mu; it may let go of it.
func (one *group) step() {
	for len(one.mailbox) > 0 {
		decide, ticket := one.mailbox[0], one.tickets[0]
		one.mailbox, one.tickets = one.mailbox[1:], one.tickets[1:]
		d := decide(one.shard.groups.o.Now(), ticket)
		if len(d.Record) > 0 {
			go one.record(d)
			return
		}
		one.act(d.Then)
	}
	one.busy = false
	one.arm()
	one.leaveIfVacant()
}

// record makes a decision's facts durable, then lets its actions out.
func (one *group) record(d machine.Decision) {
	e := &groupEntry{group: one, decision: d}
	l := one.shard.log
	l.Lock()
	if broken := l.Broken(); broken != nil {
		l.Unlock()
		e.Answer(broken)
		return
	}
	l.Append([][]byte{fact.AppendGroup(nil, d.Record)}, e)
	l.Unlock()
}

// groupEntry is a decision on its way into the log.
type groupEntry struct {
	group    *group
	decision machine.Decision
}

// Apply makes the facts part of the group. Under the log's lock.
func (e *groupEntry) Apply(uint64) {
	e.group.mu.Lock()
	for _, f := range e.decision.Record {
		e.group.machine.Apply(f)
	}
	e.group.mu.Unlock()
}

// Again: another coordinator wrote, so this one is no more.
func (e *groupEntry) Again() { go e.Answer(errors.New("another coordinator has the log")) }

// Answer lets the actions out, and goes on with the mailbox.
func (e *groupEntry) Answer(err error) {
	one := e.group
	one.mu.Lock()
	defer one.mu.Unlock()
	if err != nil {
		one.fail()
		return
	}
	one.act(e.decision.Then)
	one.step()
}

// act answers tickets. Under one.mu.
func (one *group) act(actions []machine.Action) {
	for _, a := range actions {
		r := a.(machine.Reply)
		if c := one.waiting[r.To]; c != nil {
			delete(one.waiting, r.To)
			c <- r
		}
	}
}

// fail drops a group whose log takes nothing more: what it decided did not
// happen. Under one.mu.
func (one *group) fail() {
	one.gone = true
	for ticket, c := range one.waiting {
		delete(one.waiting, ticket)
		c <- machine.Reply{Err: kerr.NotCoordinator}
	}
	if one.timer != nil {
		one.timer.Stop()
	}
}

// arm sets the timer to the machine's next deadline. Under one.mu.
func (one *group) arm() {
	at := one.machine.Deadline()
	if at.IsZero() || one.gone {
		if one.timer != nil {
			one.timer.Stop()
		}
		return
	}
	in := max(at.Sub(one.shard.groups.o.Now()), 0)
	if one.timer == nil {
		one.timer = time.AfterFunc(in, one.tick)
		return
	}
	one.timer.Reset(in)
}

func (one *group) tick() {
	select {
	case <-one.shard.groups.stopped:
		return
	default:
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.put(func(m *classic.Group, now time.Time, _ machine.Ticket) machine.Decision { return m.Tick(now) }, 0)
}

// leaveIfVacant forgets a group of which nothing is left. Under one.mu.
func (one *group) leaveIfVacant() {
	if one.machine.Vacant() && one.machine.Describe().State == classic.Dead && len(one.waiting) == 0 {
		go one.shard.forget(one)
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

// Join is part of GroupService.
func (g *Groups) Join(ctx context.Context, id string, join classic.Join) (classic.Joined, error) {
	if id == "" {
		return classic.Joined{}, kerr.InvalidGroupID
	}
	create := g.o.AutoCreate || g.known(id)
	if !create {
		return classic.Joined{}, fmt.Errorf("%w: group %q does not exist and auto.create.groups.enable is false", kerr.GroupAuthorizationFailed, id)
	}
	v, err := g.ask(ctx, id, join.Member == "", func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
		return m.Join(now, to, join)
	})
	joined, _ := v.(classic.Joined)
	return joined, err
}

func (g *Groups) known(id string) bool {
	one := g.shardOf(id).group(id, false)
	if one == nil {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.machine.State() != classic.Dead
}

// Sync is part of GroupService.
func (g *Groups) Sync(ctx context.Context, id string, sync classic.Sync) (classic.Synced, error) {
	v, err := g.ask(ctx, id, false, func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
		return m.Sync(now, to, sync)
	})
	synced, _ := v.(classic.Synced)
	return synced, err
}

// Heartbeat is part of GroupService. It reads, so no disk holds it up.
func (g *Groups) Heartbeat(_ context.Context, id string, beat classic.Heartbeat) error {
	one := g.shardOf(id).group(id, false)
	if one == nil {
		return kerr.UnknownMemberID
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.gone {
		return kerr.NotCoordinator
	}
	return one.machine.Heartbeat(g.o.Now(), beat)
}

// Leave is part of GroupService.
func (g *Groups) Leave(ctx context.Context, id string, leavers []classic.Leaver) ([]error, error) {
	v, err := g.ask(ctx, id, false, func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
		return m.Leave(now, to, leavers)
	})
	errs, _ := v.([]error)
	return errs, err
}

// Commit is part of GroupService.
func (g *Groups) Commit(ctx context.Context, id string, commit classic.Commit) error {
	create := commit.Generation < 0 && (g.o.AutoCreate || g.known(id))
	now := g.o.Now()
	for i := range commit.Offsets {
		if commit.Offsets[i].CommitTime.IsZero() {
			commit.Offsets[i].CommitTime = now
		}
	}
	_, err := g.ask(ctx, id, create, func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
		return m.Commit(now, to, commit)
	})
	return err
}

// Offsets is part of GroupService.
func (g *Groups) Offsets(_ context.Context, id string, of []TopicPartition) ([]classic.Offset, error) {
	one := g.shardOf(id).group(id, false)
	if one == nil {
		return nil, nil
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if of == nil {
		return one.machine.Offsets(nil), nil
	}
	return one.machine.Offsets(partitionsOf(of)), nil
}

func partitionsOf(of []TopicPartition) []classic.Partition {
	partitions := make([]classic.Partition, len(of))
	for i, p := range of {
		partitions[i] = classic.Partition(p)
	}
	return partitions
}

// Describe is part of GroupService.
func (g *Groups) Describe(_ context.Context, id string) (classic.Description, error) {
	one := g.shardOf(id).group(id, false)
	if one == nil {
		return classic.Description{Group: id, State: classic.Dead}, nil
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.machine.Describe(), nil
}

// List is part of GroupService.
func (g *Groups) List(context.Context) ([]Listing, error) {
	var listings []Listing
	for _, s := range g.shards {
		for _, one := range s.list() {
			one.mu.Lock()
			if state := one.machine.State(); state != classic.Dead {
				listings = append(listings, Listing{Group: one.id, ProtocolType: one.machine.ProtocolType(), State: state, Type: "classic"})
			}
			one.mu.Unlock()
		}
	}
	slices.SortFunc(listings, func(a, b Listing) int { return strings.Compare(a.Group, b.Group) })
	return listings, nil
}

// Delete is part of GroupService.
func (g *Groups) Delete(ctx context.Context, id string) error {
	_, err := g.ask(ctx, id, false, func(m *classic.Group, _ time.Time, to machine.Ticket) machine.Decision {
		return m.Delete(to)
	})
	return err
}

// DeleteOffsets is part of GroupService.
func (g *Groups) DeleteOffsets(ctx context.Context, id string, of []TopicPartition) ([]error, error) {
	v, err := g.ask(ctx, id, false, func(m *classic.Group, _ time.Time, to machine.Ticket) machine.Decision {
		return m.DeleteOffsets(to, partitionsOf(of))
	})
	errs, _ := v.([]error)
	return errs, err
}

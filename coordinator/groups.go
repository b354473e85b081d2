package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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

// InLog gives the groups of a coordinator log, sorted.
func (g *Groups) InLog(log int) []string {
	var names []string
	for _, one := range g.shards[log].list() {
		one.mu.Lock()
		if !one.machine.Vacant() {
			names = append(names, one.id)
		}
		one.mu.Unlock()
	}
	slices.Sort(names)
	return names
}

func (g *Groups) shardOf(id string) *groupShard {
	h := fnv.New32a()
	h.Write([]byte(id))
	return g.shards[h.Sum32()%uint32(len(g.shards))]
}

// ask puts a command into a group's mailbox and waits for its answer.
func (g *Groups) ask(ctx context.Context, id string, create bool, c command) (any, error) {
	one := g.shardOf(id).group(id, create)
	if one == nil {
		one = g.shardOf(id).newGroup(id) // nobody's: what it answers is what an unknown group answers
	}
	return one.ask(ctx, c)
}

// Join is part of GroupService.
func (g *Groups) Join(ctx context.Context, id string, join classic.Join) (classic.Joined, error) {
	if id == "" {
		return classic.Joined{}, kerr.InvalidGroupID
	}
	if err := g.mayAppear(id); err != nil {
		return classic.Joined{}, err
	}
	v, err := g.ask(ctx, id, join.Member == "", func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
		return m.Join(now, to, join)
	})
	joined, _ := v.(classic.Joined)
	return joined, err
}

// mayAppear refuses a group that is not there where groups do not appear by use.
func (g *Groups) mayAppear(id string) error {
	if g.o.AutoCreate || g.known(id) {
		return nil
	}
	return fmt.Errorf("%w: group %q does not exist and auto.create.groups.enable is false", kerr.GroupAuthorizationFailed, id)
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
	simple := commit.Generation < 0 // of who is in no group, and may be the group's first
	if err := g.mayAppear(id); simple && err != nil {
		return err
	}
	now := g.o.Now()
	for i := range commit.Offsets {
		if commit.Offsets[i].CommitTime.IsZero() {
			commit.Offsets[i].CommitTime = now
		}
	}
	_, err := g.ask(ctx, id, simple, func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision {
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

package classic

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

// table runs one group: it applies what is recorded at once, and keeps what was
// answered.
type table struct {
	t       *testing.T
	g       *Group
	now     time.Time
	last    machine.Ticket
	answers map[machine.Ticket]machine.Reply
	facts   []machine.Fact
	drawn   int
}

func newTable(t *testing.T, tune func(*Options)) *table {
	x := &table{t: t, now: time.UnixMilli(1_700_000_000_000), answers: make(map[machine.Ticket]machine.Reply)}
	o := Options{SessionMin: time.Second, SessionMax: time.Hour, Retention: time.Hour, NewMember: func(client string) string {
		x.drawn++
		return fmt.Sprintf("%s-%d", client, x.drawn)
	}}
	if tune != nil {
		tune(&o)
	}
	x.g = New("g", o, x.now)
	return x
}

func (x *table) do(d machine.Decision) {
	x.t.Helper()
	for _, f := range d.Record {
		x.facts = append(x.facts, f)
		x.g.Apply(f)
	}
	for _, a := range d.Then {
		r := a.(machine.Reply)
		if _, twice := x.answers[r.To]; twice && r.To != 0 {
			x.t.Fatalf("ticket %d is answered twice", r.To)
		}
		x.answers[r.To] = r
	}
}

func (x *table) ticket() machine.Ticket { x.last++; return x.last }

func (x *table) join(j Join) machine.Ticket {
	x.t.Helper()
	if j.ProtocolType == "" {
		j.ProtocolType = "consumer"
	}
	if j.Protocols == nil {
		j.Protocols = []Protocol{{Name: "range", Metadata: []byte("m")}}
	}
	if j.SessionTimeout == 0 {
		j.SessionTimeout, j.RebalanceTimeout = 10*time.Second, 60*time.Second
	}
	to := x.ticket()
	x.do(x.g.Join(x.now, to, j))
	return to
}

func (x *table) sync(member string, generation int32, assignments map[string][]byte) machine.Ticket {
	x.t.Helper()
	to := x.ticket()
	x.do(x.g.Sync(x.now, to, Sync{Member: member, Generation: generation, Assignments: assignments}))
	return to
}

func (x *table) pass(d time.Duration) {
	x.t.Helper()
	end := x.now.Add(d)
	for {
		at := x.g.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(x.now) {
			x.now = at
		}
		before := len(x.facts)
		x.do(x.g.Tick(x.now))
		if next := x.g.Deadline(); next.Equal(at) && len(x.facts) == before {
			x.t.Fatalf("a tick at its deadline changes nothing: %+v", x.g.Describe())
		}
	}
	x.now = end
}

func (x *table) joined(to machine.Ticket) Joined {
	x.t.Helper()
	r, ok := x.answers[to]
	if !ok || r.Err != nil {
		x.t.Fatalf("join %d: answered %t, %v", to, ok, r.Err)
	}
	return r.Value.(Joined)
}

func (x *table) waits(to machine.Ticket) {
	x.t.Helper()
	if r, ok := x.answers[to]; ok {
		x.t.Fatalf("ticket %d is answered %+v, want it to wait", to, r)
	}
}

func (x *table) refused(to machine.Ticket, want error) {
	x.t.Helper()
	if r, ok := x.answers[to]; !ok || !errors.Is(r.Err, want) {
		x.t.Fatalf("ticket %d: answered %t %v, want %v", to, ok, r.Err, want)
	}
}

func (x *table) state(want State) {
	x.t.Helper()
	if got := x.g.State(); got != want {
		x.t.Fatalf("state %s, want %s", got, want)
	}
}

// pair makes a stable group of two.
func (x *table) pair() (leader, follower string, generation int32) {
	x.t.Helper()
	leader = x.joined(x.join(Join{ClientID: "a"})).Member
	x.sync(leader, 1, map[string][]byte{leader: []byte("all")})
	second := x.join(Join{ClientID: "b"})
	x.waits(second)
	first := x.join(Join{Member: leader})
	follower = x.joined(second).Member
	generation = x.joined(first).Generation
	waiting := x.sync(follower, generation, nil)
	x.waits(waiting)
	x.sync(leader, generation, map[string][]byte{leader: []byte("one"), follower: []byte("two")})
	if got := x.answers[waiting].Value.(Synced); string(got.Assignment) != "two" {
		x.t.Fatalf("the follower was assigned %q", got.Assignment)
	}
	x.state(Stable)
	return leader, follower, generation
}

func (x *table) beat(member string, generation int32) error {
	return x.g.Heartbeat(x.now, Heartbeat{Member: member, Generation: generation})
}

func TestTheFirstMemberLeadsAndLearnsOfAll(t *testing.T) {
	x := newTable(t, nil)
	one := x.joined(x.join(Join{ClientID: "a"}))
	if one.Leader != one.Member || one.Generation != 1 || len(one.Members) != 1 || one.Protocol != "range" {
		t.Fatalf("joined %+v", one)
	}
	x.state(CompletingRebalance)
	leader, follower, generation := newTable(t, nil).pair()
	if leader == follower || generation != 2 {
		t.Errorf("%s and %s in generation %d", leader, follower, generation)
	}
}

func TestNewMembersAreToldTheirIdOnlyFromVersion4(t *testing.T) {
	x := newTable(t, nil)
	to := x.join(Join{ClientID: "a", NeedsMemberID: true})
	x.refused(to, kerr.MemberIDRequired)
	id := x.answers[to].Value.(Joined).Member
	if got := x.joined(x.join(Join{Member: id, NeedsMemberID: true})); got.Member != id {
		t.Errorf("joined as %s, want %s", got.Member, id)
	}
	x.refused(x.join(Join{Member: "nobody"}), kerr.UnknownMemberID)
}

func TestAReservedIdEndsWithItsSession(t *testing.T) {
	x := newTable(t, nil)
	to := x.join(Join{NeedsMemberID: true})
	id := x.answers[to].Value.(Joined).Member
	x.pass(11 * time.Second)
	x.refused(x.join(Join{Member: id}), kerr.UnknownMemberID)
}

func TestASilentMemberIsEvicted(t *testing.T) {
	x := newTable(t, nil)
	leader, follower, generation := x.pair()
	for range 4 {
		x.pass(4 * time.Second)
		err := x.beat(leader, generation)
		if err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
			t.Fatalf("heartbeat: %v", err)
		}
	}
	x.state(PreparingRebalance)
	if err := x.beat(follower, generation); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("the silent one: %v", err)
	}
	again := x.joined(x.join(Join{Member: leader}))
	if again.Generation != generation+1 || len(again.Members) != 1 {
		t.Errorf("joined %+v", again)
	}
}

func TestWhoDoesNotRejoinInTimeIsDropped(t *testing.T) {
	x := newTable(t, nil)
	leader, follower, generation := x.pair()
	rejoined := x.join(Join{Member: leader})
	for range 7 {
		x.waits(rejoined)
		x.beat(follower, generation) // alive, but it never joins again
		x.pass(9 * time.Second)
	}
	if got := x.joined(rejoined); len(got.Members) != 1 {
		t.Errorf("after the rebalance timeout: %+v", got)
	}
}

func TestHeartbeatsAndCommitsOfOldGenerationsAreRefused(t *testing.T) {
	x := newTable(t, nil)
	leader, _, generation := x.pair()
	for _, tt := range []struct {
		member     string
		generation int32
		want       error
	}{{leader, generation - 1, kerr.IllegalGeneration}, {"nobody", generation, kerr.UnknownMemberID}, {"", -1, kerr.UnknownMemberID}} {
		if tt.member != "" {
			if err := x.beat(tt.member, tt.generation); !errors.Is(err, tt.want) {
				t.Errorf("heartbeat of %s in %d: %v, want %v", tt.member, tt.generation, err, tt.want)
			}
		}
		to := x.ticket()
		x.do(x.g.Commit(x.now, to, Commit{Member: tt.member, Generation: tt.generation, Offsets: []Offset{{Topic: "t"}}}))
		x.refused(to, tt.want)
	}
	to := x.ticket()
	x.do(x.g.Commit(x.now, to, Commit{Member: leader, Generation: generation, Offsets: []Offset{{Topic: "t", Offset: 5, CommitTime: x.now}}}))
	if err := x.answers[to].Err; err != nil {
		t.Fatal(err)
	}
	if got := x.g.Offsets([]Partition{{"t", 0}, {"t", 1}}); len(got) != 1 || got[0].Offset != 5 {
		t.Errorf("committed %+v", got)
	}
}

func TestProtocolsMustMeet(t *testing.T) {
	x := newTable(t, nil)
	x.pair()
	x.refused(x.join(Join{Protocols: []Protocol{{Name: "sticky"}}}), kerr.InconsistentGroupProtocol)
	x.refused(x.join(Join{ProtocolType: "connect"}), kerr.InconsistentGroupProtocol)
	x.refused(x.join(Join{SessionTimeout: 2 * time.Hour}), kerr.InvalidSessionTimeout)
	x.refused(x.join(Join{Protocols: []Protocol{}}), kerr.InconsistentGroupProtocol)
}

func TestAStaticMemberComesBackWithoutARebalance(t *testing.T) {
	x := newTable(t, nil)
	instance := "i-1"
	old := x.joined(x.join(Join{Instance: &instance})).Member
	x.sync(old, 1, map[string][]byte{old: []byte("all")})
	back := x.joined(x.join(Join{Instance: &instance}))
	if back.Member == old || back.Generation != 1 || back.Leader != old {
		t.Fatalf("came back as %+v", back)
	}
	x.state(Stable)
	if err := x.g.Heartbeat(x.now, Heartbeat{Member: old, Instance: &instance, Generation: 1}); !errors.Is(err, kerr.FencedInstanceID) {
		t.Errorf("the first incarnation: %v", err)
	}
	if err := x.g.Heartbeat(x.now, Heartbeat{Member: back.Member, Instance: &instance, Generation: 1}); err != nil {
		t.Errorf("the second: %v", err)
	}
	again := x.joined(x.join(Join{Instance: &instance, SkipsAssignment: true}))
	if !again.SkipAssignment || again.Leader != again.Member {
		t.Errorf("a leader that may skip the assignment: %+v", again)
	}
}

func TestTheLastToLeaveEmptiesTheGroup(t *testing.T) {
	x := newTable(t, nil)
	leader, follower, generation := x.pair()
	to := x.ticket()
	x.do(x.g.Commit(x.now, to, Commit{Member: leader, Generation: generation, Offsets: []Offset{{Topic: "t", Offset: 1, CommitTime: x.now}}}))
	to = x.ticket()
	x.do(x.g.Leave(x.now, to, []Leaver{{Member: leader}, {Member: "nobody"}, {Member: follower}}))
	if errs := x.answers[to].Value.([]error); errs[0] != nil || !errors.Is(errs[1], kerr.UnknownMemberID) || errs[2] != nil {
		t.Errorf("left: %v", errs)
	}
	x.state(Empty)
	x.pass(59 * time.Minute)
	if len(x.g.Offsets(nil)) != 1 {
		t.Error("offsets went before their time")
	}
	x.pass(2 * time.Minute)
	if !x.g.Vacant() {
		t.Errorf("after its retention the group still holds %+v", x.g.Offsets(nil))
	}
	x.state(Dead)
}

func TestASetDelayWaitsWhileMembersArrive(t *testing.T) {
	x := newTable(t, func(o *Options) { o.InitialDelay = 3 * time.Second })
	first := x.join(Join{ClientID: "a"})
	x.pass(2 * time.Second)
	second := x.join(Join{ClientID: "b"})
	x.pass(2 * time.Second)
	x.waits(first)
	x.pass(2 * time.Second)
	if a, b := x.joined(first), x.joined(second); a.Generation != 1 || b.Generation != 1 || len(a.Members)+len(b.Members) != 2 {
		t.Errorf("joined %+v and %+v, want both in generation 1", a, b)
	}
}

// Whatever members do, what is recorded adds up to the durable state, each
// ticket is answered at most once, a generation has one leader who is a member,
// and generations only rise.
func TestRandomWalksKeepTheInvariants(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		x := newTable(t, nil)
		var members []string
		generation := int32(0)
		for range 120 {
			pick := func() string {
				if len(members) == 0 || r.IntN(8) == 0 {
					return ""
				}
				return members[r.IntN(len(members))]
			}
			switch r.IntN(9) {
			case 7: // the leader brings the assignment, perhaps before the others ask for it
				if x.g.state == CompletingRebalance {
					x.sync(x.g.leader, x.g.generation, nil)
				}
			case 8: // all go on as they are for a while
				for range r.IntN(12) {
					for _, m := range x.g.sorted() {
						x.beat(m.ID, x.g.generation) // whatever it says, it keeps them alive
					}
					x.pass(8 * time.Second)
				}
			case 0, 1:
				join := Join{Member: pick(), ClientID: "c", NeedsMemberID: r.IntN(2) == 0}
				if r.IntN(4) == 0 {
					instance := fmt.Sprint("i", r.IntN(3))
					join.Instance, join.Member = &instance, ""
				}
				x.join(join)
			case 2:
				x.sync(pick(), x.g.generation, map[string][]byte{"x": nil})
			case 3:
				x.do(x.g.Leave(x.now, x.ticket(), []Leaver{{Member: pick()}}))
			case 4:
				x.pass(time.Duration(r.IntN(15)) * time.Second)
			case 5:
				x.beat(pick(), x.g.generation)
			case 6:
				x.do(x.g.Commit(x.now, x.ticket(), Commit{Member: pick(), Generation: x.g.generation, Offsets: []Offset{{Topic: "t", Partition: int32(r.IntN(3)), CommitTime: x.now}}}))
			}
			for _, a := range x.answers {
				if j, ok := a.Value.(Joined); ok && j.Member != "" && !slices.Contains(members, j.Member) {
					members = append(members, j.Member)
				}
			}
			if x.g.generation < generation && x.g.generation != 0 {
				t.Fatalf("seed %d: generation %d behind %d", seed, x.g.generation, generation)
			}
			generation = x.g.generation
			if x.g.State() == Stable {
				if _, ok := x.g.members[x.g.leader]; !ok {
					t.Fatalf("seed %d: the leader %s is no member of a stable group", seed, x.g.leader)
				}
			}
		}
		again := New("g", x.g.o, x.now)
		for _, f := range x.facts {
			again.Apply(f)
		}
		if !reflect.DeepEqual(sortedOffsets(again), sortedOffsets(x.g)) || again.generation != x.g.generation {
			t.Fatalf("seed %d: the facts add up to another group", seed)
		}
		restored := New("g", x.g.o, x.now)
		for _, f := range x.g.Facts() {
			restored.Apply(f)
		}
		if x.g.generation > 0 && !slices.Equal(slices.Sorted(maps.Keys(restored.members)), slices.Sorted(maps.Keys(x.g.members))) {
			t.Fatalf("seed %d: a snapshot has other members", seed)
		}
	}
}

func sortedOffsets(g *Group) []Offset {
	offsets := g.Offsets(nil)
	slices.SortFunc(offsets, func(a, b Offset) int { return int(a.Partition) - int(b.Partition) })
	return offsets
}

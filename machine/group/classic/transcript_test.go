package classic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/machinetest"
)

func TestTranscripts(t *testing.T) {
	machinetest.RunAll(t, func(t *testing.T) func(machinetest.Command) []string {
		s := &session{t: t, now: time.UnixMilli(1_700_000_000_000), asked: make(map[machine.Ticket]string)}
		s.o = Options{SessionMin: time.Second, SessionMax: time.Hour, Retention: 24 * time.Hour, NewMember: func(client string) string {
			s.drawn++
			return fmt.Sprintf("%s-%d", client, s.drawn)
		}}
		s.g = New("g", s.o, s.now)
		return s.answer
	})
}

// session is a group and what a transcript does to it.
type session struct {
	t     *testing.T
	g     *Group
	o     Options
	now   time.Time
	drawn int
	last  machine.Ticket
	asked map[machine.Ticket]string // who waits
}

// answer understands:
//
//	options delay=3s size=2       before the first member
//	join A [member=M] [instance=I] [timeout=10s] [rebalance=60s] [protocols=P,Q] [type=T] [needs-id] [skips]
//	sync A member=M generation=N [assign=M:text,M:text]
//	heartbeat member=M generation=N [instance=I]
//	leave A M,M [instances=I,I]
//	commit A [member=M generation=N] topic-0=5 …
//	delete A · delete-offsets A topic-0 …
//	abandon A                     whoever asked is gone
//	pass 10s                      with every deadline on the way
//	crash                         what was recorded is there, at full deadlines
//	describe
func (s *session) answer(c machinetest.Command) []string {
	instance := func() *string {
		if !c.Has("instance") {
			return nil
		}
		name := c.Text("instance", "")
		return &name
	}
	generation := int32(c.Int("generation", -1))
	switch c.Verb {
	case "options":
		s.o.InitialDelay, s.o.SizeMax = c.Duration("delay", 0), int(c.Int("size", 0))
		s.g = New("g", s.o, s.now)
		return nil
	case "join":
		join := Join{
			Member: c.Text("member", ""), Instance: instance(), ClientID: c.Word(0), ProtocolType: c.Text("type", "consumer"),
			SessionTimeout: c.Duration("timeout", 10*time.Second), RebalanceTimeout: c.Duration("rebalance", time.Minute),
			NeedsMemberID: c.Has("needs-id"), SkipsAssignment: c.Has("skips"),
		}
		for _, p := range strings.Split(c.Text("protocols", "range"), ",") {
			join.Protocols = append(join.Protocols, Protocol{Name: p, Metadata: []byte(c.Text("metadata", ""))})
		}
		return s.decided(s.g.Join(s.now, s.ticket(c), join))
	case "sync":
		sync := Sync{Member: c.Text("member", ""), Instance: instance(), Generation: generation, Assignments: make(map[string][]byte)}
		for _, one := range c.List("assign") {
			member, what, _ := strings.Cut(one, ":")
			sync.Assignments[member] = []byte(what)
		}
		return s.decided(s.g.Sync(s.now, s.ticket(c), sync))
	case "heartbeat":
		return []string{word(s.g.Heartbeat(s.now, Heartbeat{Member: c.Text("member", ""), Instance: instance(), Generation: generation}))}
	case "leave":
		var leavers []Leaver
		for _, member := range c.Words[1:] {
			leavers = append(leavers, Leaver{Member: member})
		}
		for _, name := range c.List("instances") {
			leavers = append(leavers, Leaver{Instance: &name})
		}
		return s.decided(s.g.Leave(s.now, s.ticket(c), leavers))
	case "commit":
		commit := Commit{Member: c.Text("member", ""), Instance: instance(), Generation: generation}
		for _, p := range c.Words[1:] {
			at, offset, _ := strings.Cut(p, "@")
			of := s.partition(at)
			n, err := strconv.ParseInt(offset, 10, 64)
			if err != nil {
				c.Fail("%v", err)
			}
			commit.Offsets = append(commit.Offsets, Offset{Topic: of.Topic, Partition: of.Partition, Offset: n, CommitTime: s.now})
		}
		return s.decided(s.g.Commit(s.now, s.ticket(c), commit))
	case "delete":
		return s.decided(s.g.Delete(s.ticket(c)))
	case "delete-offsets":
		var of []Partition
		for _, p := range c.Words[1:] {
			of = append(of, s.partition(p))
		}
		return s.decided(s.g.DeleteOffsets(s.ticket(c), of))
	case "abandon":
		for ticket, who := range s.asked {
			if who == c.Word(0) {
				s.g.Abandon(ticket)
				delete(s.asked, ticket)
			}
		}
		return nil
	case "pass":
		d, err := time.ParseDuration(c.Word(0))
		if err != nil {
			c.Fail("%v", err)
		}
		return s.pass(d)
	case "crash":
		facts := s.g.Facts()
		s.g = New("g", s.o, s.now)
		for _, f := range facts {
			s.g.Apply(f)
		}
		s.g.Wake(s.now)
		clear(s.asked)
		return s.describe()
	case "describe":
		return s.describe()
	}
	c.Fail("no such command")
	return nil
}

func (s *session) ticket(c machinetest.Command) machine.Ticket {
	s.last++
	s.asked[s.last] = c.Word(0)
	return s.last
}

func (s *session) partition(text string) Partition {
	topic, index, _ := strings.Cut(text, "-")
	n, err := strconv.Atoi(index)
	if err != nil {
		s.t.Fatalf("%q names no partition", text)
	}
	return Partition{topic, int32(n)}
}

// pass lets time pass, and does what is due on the way.
func (s *session) pass(d time.Duration) []string {
	var lines []string
	began, end := s.now, s.now.Add(d)
	for at := s.g.Deadline(); !at.IsZero() && !at.After(end); at = s.g.Deadline() {
		s.now = at
		told := s.decided(s.g.Tick(s.now))
		if len(told) > 0 {
			lines = append(lines, fmt.Sprintf("after %v:", at.Sub(began)))
			lines = append(lines, told...)
		}
		if next := s.g.Deadline(); !next.IsZero() && !next.After(at) && len(told) == 0 {
			s.t.Fatalf("a tick after %v does nothing, and is due again at once", at.Sub(began))
		}
	}
	s.now = end
	return lines
}

// decided applies what is recorded, and tells of it and of who is answered.
func (s *session) decided(d machine.Decision) []string {
	var lines, replies []string
	for _, f := range d.Record {
		s.g.Apply(f)
		lines = append(lines, "record "+factLine(f))
	}
	for _, a := range d.Then {
		r := a.(machine.Reply)
		who, ok := s.asked[r.To]
		if !ok {
			s.t.Fatalf("ticket %d is answered, and nobody waits for it", r.To)
		}
		delete(s.asked, r.To)
		replies = append(replies, who+": "+replyLine(r))
	}
	slices.Sort(replies)
	return append(lines, replies...)
}

func word(err error) string {
	var code *kerr.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &code):
		return code.Message
	}
	return "without a code: " + err.Error()
}

func replyLine(r machine.Reply) string {
	if joined, ok := r.Value.(Joined); ok && errors.Is(r.Err, kerr.MemberIDRequired) {
		return word(r.Err) + " " + joined.Member
	}
	if r.Err != nil {
		return word(r.Err)
	}
	switch v := r.Value.(type) {
	case Joined:
		line := fmt.Sprintf("%s joined generation %d, led by %s, %s", v.Member, v.Generation, v.Leader, v.Protocol)
		if len(v.Members) > 0 {
			line += ", of"
		}
		for _, m := range v.Members {
			line += " " + m.Member
		}
		if v.SkipAssignment {
			line += ", leaves the assignment alone"
		}
		return line
	case Synced:
		return fmt.Sprintf("is assigned %q", v.Assignment)
	case []error:
		var words []string
		for _, err := range v {
			words = append(words, word(err))
		}
		return strings.Join(words, " ")
	case nil:
		return "ok"
	}
	return fmt.Sprintf("%T", r.Value)
}

func factLine(f machine.Fact) string {
	switch f := f.(type) {
	case Generation:
		if len(f.Members) == 0 {
			return fmt.Sprintf("generation %d, empty", f.Number)
		}
		line := fmt.Sprintf("generation %d, %s, led by %s:", f.Number, f.Protocol, f.Leader)
		for _, m := range f.Members {
			line += " " + m.ID
		}
		return line
	case Assigned:
		line := "assigned"
		for _, id := range slices.Sorted(maps.Keys(f.Assignments)) {
			line += fmt.Sprintf(" %s:%s", id, f.Assignments[id])
		}
		return line
	case Replaced:
		return f.Old + " is replaced by " + f.New.ID
	case Committed:
		line := "committed"
		for _, o := range f.Offsets {
			line += fmt.Sprintf(" %s-%d@%d", o.Topic, o.Partition, o.Offset)
		}
		return line
	case Uncommitted:
		line := "uncommitted"
		of := slices.SortedFunc(slices.Values(f.Of), func(a, b Partition) int {
			return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		for _, p := range of {
			line += fmt.Sprintf(" %s-%d", p.Topic, p.Partition)
		}
		return line
	case Gone:
		return "the group is gone"
	}
	return fmt.Sprintf("%T", f)
}

func (s *session) describe() []string {
	d := s.g.Describe()
	lines := []string{strings.TrimSpace(fmt.Sprintf("%s, generation %d %s", d.State, d.Generation, d.Protocol))}
	for _, m := range d.Members {
		line := fmt.Sprintf("%s %q", m.Member, m.Assignment)
		if m.Instance != nil {
			line += " instance " + *m.Instance
		}
		lines = append(lines, line)
	}
	for _, o := range slices.SortedFunc(slices.Values(s.g.Offsets(nil)), func(a, b Offset) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	}) {
		lines = append(lines, fmt.Sprintf("%s-%d@%d", o.Topic, o.Partition, o.Offset))
	}
	return lines
}

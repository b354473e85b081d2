package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/machinetest"
)

func TestTranscripts(t *testing.T) {
	machinetest.RunAll(t, func(t *testing.T) func(machinetest.Command) []string {
		s := &session{c: New()}
		return s.answer
	})
}

// session is a cluster and what a transcript does to it.
type session struct {
	c     *Cluster
	drawn byte // topic ids
}

func (s *session) answer(c machinetest.Command) []string {
	switch c.Verb {
	case "create": // topics, in one request
		var wanted []NewTopic
		for _, name := range c.Words {
			s.drawn++
			w := topic(name, s.drawn)
			w.Partitions = int32(c.Int("partitions", 1))
			wanted = append(wanted, w)
		}
		return s.decided(s.c.CreateTopics(noon, wanted))
	case "delete": // a topic
		made, ok := s.c.Topic(c.Word(0))
		if !ok {
			made = &Topic{}
		}
		facts, err := s.c.DeleteTopic(made.ID)
		return s.decided(facts, []error{err})
	case "dropped": // everywhere, by its id
		return s.decided(s.c.DropDone([16]byte{byte(c.Int("id", 0))}), nil)
	case "password", "forget": // of users
		var changes []UserChange
		for _, name := range c.Words {
			change := UserChange{Name: name, Mechanism: Mechanism(c.Int("mechanism", int64(ScramSHA256)))}
			if c.Verb == "password" {
				change.Set = &Verifier{Iterations: int32(c.Int("iterations", 4096))}
			}
			changes = append(changes, change)
		}
		return s.decided(s.c.AlterUsers(changes))
	case "superuser":
		return s.decided(s.c.MakeSuperuser(c.Word(0), map[Mechanism]Verifier{ScramSHA256: {Iterations: 4096}, ScramSHA512: {Iterations: 4096}}), nil)
	case "producers":
		first, count, facts := s.c.GiveProducers()
		return append([]string{fmt.Sprintf("ids %d to %d", first, first+count-1)}, s.decided(facts, nil)...)
	case "raise": // topics whose shown offsets may be gone
		var ids [][16]byte
		for _, name := range c.Words {
			made, _ := s.c.Topic(name)
			ids = append(ids, made.ID)
		}
		return s.decided(s.c.RaiseEpochs(ids), nil)
	case "lost": // entries; the topics are known by their data
		var found []NewTopic
		for _, name := range c.Words {
			s.drawn++
			found = append(found, topic(name, s.drawn))
		}
		return s.decided(s.c.Lost(noon, found), nil)
	case "restart": // from a snapshot
		s.c = Restore(s.c.Snapshot())
		return s.show()
	case "show":
		return s.show()
	}
	c.Fail("no such command")
	return nil
}

// decided applies what is recorded, and tells of it.
func (s *session) decided(facts []machine.Fact, errs []error) []string {
	var lines []string
	for _, f := range facts {
		s.c.Apply(f)
		lines = append(lines, "record "+factLine(f))
	}
	for _, err := range errs {
		var code *kerr.Error
		switch {
		case errors.As(err, &code):
			lines = append(lines, "refused: "+code.Message+strings.TrimPrefix(err.Error(), code.Error()))
		case err != nil:
			lines = append(lines, "refused without a code: "+err.Error())
		}
	}
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	return lines
}

func factLine(f machine.Fact) string {
	switch f := f.(type) {
	case TopicCreated:
		return fmt.Sprintf("topic %s created: id %d, %d partitions, epoch %d", f.Topic.Name, f.Topic.ID[0], f.Topic.Partitions, f.Topic.Epoch)
	case TopicDeleted:
		return fmt.Sprintf("topic %d deleted", f.ID[0])
	case TopicDropped:
		return fmt.Sprintf("topic %d dropped", f.ID[0])
	case VerifierSet:
		line := fmt.Sprintf("%s may sign in by %s, %d iterations", f.User, f.Mechanism.Name(), f.Verifier.Iterations)
		if f.Superuser {
			line += ", superuser"
		}
		return line
	case VerifierRemoved:
		return fmt.Sprintf("%s may not sign in by %s", f.User, f.Mechanism.Name())
	case ProducersGiven:
		return fmt.Sprintf("producer ids below %d are given", f.Next)
	case EpochRaised:
		return fmt.Sprintf("topic %d has epoch %d", f.ID[0], f.Epoch)
	case FloorRaised:
		return fmt.Sprintf("names begin at epoch %d", f.Epoch)
	}
	return fmt.Sprintf("%T", f)
}

func (s *session) show() []string {
	var lines []string
	for _, t := range s.c.Topics() {
		lines = append(lines, fmt.Sprintf("topic %s: id %d, %d partitions, epoch %d", t.Name, t.ID[0], t.Partitions, t.Epoch))
	}
	open := s.c.Dropping()
	slices.SortFunc(open, func(a, b *Topic) int { return int(a.ID[0]) - int(b.ID[0]) })
	for _, t := range open {
		lines = append(lines, fmt.Sprintf("to drop: id %d, %s", t.ID[0], t.Name))
	}
	for _, u := range s.c.Users() {
		line := "user " + u.Name
		for _, m := range slices.Sorted(maps.Keys(u.Verifiers)) {
			line += fmt.Sprintf(" %s/%d", m.Name(), u.Verifiers[m].Iterations)
		}
		if u.Superuser {
			line += " superuser"
		}
		lines = append(lines, line)
	}
	return lines
}

// Whatever is asked, in whatever order: no two names look alike, a name's epoch
// rises, a promise to drop is kept once, ids of producers do not meet, the
// superuser stays; and a snapshot with the facts behind it is the same as all
// facts.
func TestRandomWalksKeepTheInvariants(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := New()
		saved, behind := c.Snapshot(), []machine.Fact(nil)
		names := []string{"a.b", "a_b", "a-b", "x", "x.y.z", "x_y.z"}
		users := []string{"admin", "alice", "bob"}
		epochs := make(map[string]int32) // the last of each name
		promised := make(map[[16]byte]bool)
		given, ids := int64(0), uint16(0)
		do := func(facts []machine.Fact) {
			for _, f := range facts {
				c.Apply(f)
				behind = append(behind, f)
				switch f := f.(type) {
				case TopicCreated:
					if last, ok := epochs[f.Topic.Name]; ok && f.Topic.Epoch <= last {
						t.Fatalf("seed %d: %s came again with epoch %d, after %d", seed, f.Topic.Name, f.Topic.Epoch, last)
					}
					epochs[f.Topic.Name] = f.Topic.Epoch
				case TopicDeleted:
					promised[f.ID] = true
				case TopicDropped:
					if !promised[f.ID] {
						t.Fatalf("seed %d: %x is dropped, and nobody promised it", seed, f.ID)
					}
					delete(promised, f.ID)
				}
			}
		}
		do(c.MakeSuperuser("admin", map[Mechanism]Verifier{ScramSHA256: {}}))
		for range 150 {
			name, user := names[r.IntN(len(names))], users[r.IntN(len(users))]
			switch r.IntN(7) {
			case 0, 1:
				var wanted []NewTopic
				for range 1 + r.IntN(3) {
					ids++
					wanted = append(wanted, NewTopic{Name: names[r.IntN(len(names))], ID: [16]byte{byte(ids), byte(ids >> 8)}, Partitions: 1})
				}
				facts, errs := c.CreateTopics(noon, wanted)
				refused := 0
				for _, err := range errs {
					if err != nil {
						refused++
					}
				}
				if len(facts)+refused != len(wanted) {
					t.Fatalf("seed %d: of %d topics %d are made and %d refused", seed, len(wanted), len(facts), refused)
				}
				do(facts)
			case 2:
				if topic, ok := c.Topic(name); ok {
					facts, err := c.DeleteTopic(topic.ID)
					if err != nil {
						t.Fatal(err)
					}
					do(facts)
				}
			case 3:
				for id := range promised {
					do(c.DropDone(id))
					break
				}
			case 4:
				change := UserChange{Name: user, Mechanism: Mechanism(1 + r.IntN(2))}
				if r.IntN(2) == 0 {
					change.Set = &Verifier{Iterations: int32(r.IntN(9999))}
				}
				facts, _ := c.AlterUsers([]UserChange{change})
				do(facts)
			case 5:
				first, count, facts := c.GiveProducers()
				if first < given || count < 1 {
					t.Fatalf("seed %d: ids from %d are given again", seed, first)
				}
				given = first + count
				do(facts)
			case 6:
				if r.IntN(3) == 0 {
					saved, behind = c.Snapshot(), nil
				} else { // a restart
					c = Restore(saved)
					for _, f := range behind {
						c.Apply(f)
					}
					saved, behind = c.Snapshot(), nil
				}
			}
			families := make(map[string]string)
			for _, topic := range c.Topics() {
				if other, ok := families[familyOf(topic.Name)]; ok {
					t.Fatalf("seed %d: %s and %s look alike", seed, topic.Name, other)
				}
				families[familyOf(topic.Name)] = topic.Name
				if same, ok := c.TopicByID(topic.ID); !ok || same != topic {
					t.Fatalf("seed %d: %s is not found by its id", seed, topic.Name)
				}
			}
			if open := c.Dropping(); len(open) != len(promised) {
				t.Fatalf("seed %d: %d topics are to drop, %d were promised", seed, len(open), len(promised))
			}
			if u, ok := c.User("admin"); !ok || !u.Superuser || !u.has(ScramSHA256) {
				t.Fatalf("seed %d: the superuser is %+v", seed, u)
			}
		}
		again := Restore(saved)
		for _, f := range behind {
			again.Apply(f)
		}
		if !reflect.DeepEqual(sorted(again.Snapshot()), sorted(c.Snapshot())) {
			t.Fatalf("seed %d: restored %+v, want %+v", seed, again.Snapshot(), c.Snapshot())
		}
	}
}

func sorted(s Snapshot) Snapshot {
	slices.SortFunc(s.Dropping, func(a, b *Topic) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	return s
}

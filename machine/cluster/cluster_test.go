package cluster

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

var noon = time.UnixMilli(1_700_000_000_000)

func apply(c *Cluster, facts []machine.Fact) {
	for _, f := range facts {
		c.Apply(f)
	}
}

func topic(name string, id byte) NewTopic {
	return NewTopic{Name: name, ID: [16]byte{id}, Partitions: 1, Replication: 1}
}

func create(t *testing.T, c *Cluster, wanted ...NewTopic) {
	t.Helper()
	facts, errs := c.CreateTopics(noon, wanted)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	apply(c, facts)
}

func TestTopicNamesThatLookAlikeCollide(t *testing.T) {
	c := New()
	create(t, c, topic("a.b", 1), topic("x_y", 2))
	for _, tt := range []struct {
		name string
		want *kerr.Error
	}{
		{"a.b", kerr.TopicAlreadyExists},
		{"a_b", kerr.InvalidTopicException},
		{"x.y", kerr.InvalidTopicException},
		{"a-b", nil},
		{"a", nil},
	} {
		_, errs := c.CreateTopics(noon, []NewTopic{topic(tt.name, 9)})
		if tt.want == nil && errs[0] != nil || tt.want != nil && !errors.Is(errs[0], tt.want) {
			t.Errorf("create %s: %v, want %v", tt.name, errs[0], tt.want)
		}
	}
	facts, errs := c.CreateTopics(noon, []NewTopic{topic("m.n", 3), topic("m_n", 4)})
	if len(facts) != 1 || errs[0] != nil || !errors.Is(errs[1], kerr.InvalidTopicException) {
		t.Errorf("two names that look alike in one request: %d made, %v; want the first only", len(facts), errs)
	}
}

func TestANameThatIsCreatedAgainHasANewerEpoch(t *testing.T) {
	c := New()
	for want := range int32(3) {
		create(t, c, topic("t", byte(want+1)))
		made, _ := c.Topic("t")
		if made.Epoch != want {
			t.Fatalf("epoch %d the %d. time, want %d", made.Epoch, want+1, want)
		}
		facts, err := c.DeleteTopic(made.ID)
		if err != nil {
			t.Fatal(err)
		}
		apply(c, facts)
		if _, there := c.Topic("t"); there {
			t.Fatal("still there after it was deleted")
		}
		if open := c.Dropping(); len(open) != int(want)+1 {
			t.Fatalf("%d topics to drop, want %d", len(open), want+1)
		}
	}
	apply(c, c.DropDone([16]byte{1}))
	if open := c.Dropping(); len(open) != 2 {
		t.Errorf("%d topics to drop after one is done, want 2", len(open))
	}
	if facts := c.DropDone([16]byte{1}); facts != nil {
		t.Error("a promise that was kept is kept again")
	}
}

func TestForgottenNamesBeginAboveEveryEpoch(t *testing.T) {
	c := New()
	c.gone["old"] = 41
	for i := range goneMax {
		c.gone[string(rune('a'+i%26))+time.Duration(i).String()] = 0
	}
	create(t, c, topic("t", 1))
	apply(c, []machine.Fact{TopicDeleted{[16]byte{1}}})
	if len(c.gone) > goneMax {
		t.Errorf("%d names remembered, want at most %d", len(c.gone), goneMax)
	}
	if got := c.firstEpoch("old"); got <= 41 {
		t.Errorf("a name that is no longer remembered begins at epoch %d, want above its last, 41", got)
	}
}

func TestThereIsNeverASecondSuperuser(t *testing.T) {
	c := New()
	both := map[Mechanism]Verifier{ScramSHA256: {Iterations: 4096}, ScramSHA512: {Iterations: 4096}}
	apply(c, c.MakeSuperuser("admin", both))
	if facts := c.MakeSuperuser("other", both); facts != nil {
		t.Error("a second superuser was made")
	}
	_, errs := c.AlterUsers([]UserChange{{Name: "admin", Mechanism: ScramSHA256}})
	if !errors.Is(errs[0], kerr.InvalidRequest) {
		t.Errorf("delete the superuser: %v, want %v", errs[0], kerr.InvalidRequest)
	}
	facts, errs := c.AlterUsers([]UserChange{{Name: "admin", Mechanism: ScramSHA256, Set: &Verifier{Iterations: 8192}}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	apply(c, facts)
	if u, _ := c.User("admin"); !u.Superuser || u.Verifiers[ScramSHA256].Iterations != 8192 {
		t.Errorf("after a new password: %+v", u)
	}
}

func TestAUserWithoutVerifiersIsGone(t *testing.T) {
	c := New()
	set := func(m Mechanism) UserChange { return UserChange{Name: "alice", Mechanism: m, Set: &Verifier{}} }
	facts, _ := c.AlterUsers([]UserChange{set(ScramSHA256), set(ScramSHA512)})
	apply(c, facts)
	facts, errs := c.AlterUsers([]UserChange{{Name: "alice", Mechanism: ScramSHA256}, {Name: "bob", Mechanism: ScramSHA256}})
	if errs[0] != nil || !errors.Is(errs[1], kerr.ResourceNotFound) {
		t.Fatalf("delete one of alice's and one of nobody's: %v", errs)
	}
	apply(c, facts)
	if _, there := c.User("alice"); !there {
		t.Fatal("alice is gone with one verifier left")
	}
	facts, _ = c.AlterUsers([]UserChange{{Name: "alice", Mechanism: ScramSHA512}})
	apply(c, facts)
	if _, there := c.User("alice"); there {
		t.Error("alice is there without a verifier")
	}
}

func TestProducerBlocksDoNotMeet(t *testing.T) {
	c := New()
	next := int64(0)
	for range 3 {
		first, count, facts := c.GiveProducers()
		if first != next || count < 1 {
			t.Fatalf("block of %d from %d, want one from %d", count, first, next)
		}
		next = first + count
		apply(c, facts)
	}
}

func TestASnapshotRestoresTheWhole(t *testing.T) {
	c := New()
	create(t, c, topic("a.b", 1), topic("b", 2), topic("c", 3))
	apply(c, []machine.Fact{TopicDeleted{[16]byte{2}}, ProducersGiven{5000},
		VerifierSet{User: "alice", Mechanism: ScramSHA512, Verifier: Verifier{Iterations: 4096}, Superuser: true}})
	again := Restore(c.Snapshot())
	if !reflect.DeepEqual(again.Snapshot(), c.Snapshot()) {
		t.Errorf("restored %+v, want %+v", again.Snapshot(), c.Snapshot())
	}
	if _, errs := again.CreateTopics(noon, []NewTopic{topic("a_b", 4)}); !errors.Is(errs[0], kerr.InvalidTopicException) {
		t.Errorf("after a restore a_b beside a.b: %v", errs[0])
	}
}

func TestTopicNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "topic-name": true, "topic_name": true, "A.9": true, "...": true,
		"": false, ".": false, "..": false, "a b": false, "a/b": false, "ä": false,
		string(make([]byte, 250)): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

package fact

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"milena/machine"
	"milena/machine/cluster"
)

var update = flag.Bool("update", false, "write the golden files anew")

var clusterFacts = []machine.Fact{
	cluster.TopicCreated{Topic: cluster.Topic{
		Name: "orders", ID: [16]byte{1, 2, 3}, Partitions: 12, Replication: -1, Epoch: 3,
		Created: time.UnixMilli(1_700_000_000_000), Configs: map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"},
	}},
	cluster.TopicDeleted{ID: [16]byte{1, 2, 3}},
	cluster.TopicDropped{ID: [16]byte{1, 2, 3}},
	cluster.VerifierSet{User: "alice", Mechanism: cluster.ScramSHA512, Superuser: true, Verifier: cluster.Verifier{
		Iterations: 8192, Salt: []byte("salt"), StoredKey: []byte("stored"), ServerKey: []byte("server"),
	}},
	cluster.VerifierRemoved{User: "alice", Mechanism: cluster.ScramSHA256},
	cluster.ProducersGiven{Next: 3000},
}

func readCluster(body []byte) (facts []machine.Fact, err error) {
	for f, err := range Cluster(body) {
		if err != nil {
			return facts, err
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// golden compares bytes with a file of hexadecimal lines, and gives the file's:
// what was once written must stay readable, so a difference is a new version,
// not a mend.
func golden(t *testing.T, name string, written []byte) []byte {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(hex.Dump(written)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(written) != string(text) {
		t.Errorf("%s: the format changed:\n%s\nwant\n%s", name, hex.Dump(written), text)
	}
	var b []byte
	for line := range strings.Lines(string(text)) {
		for _, digits := range strings.Fields(line[8:min(60, len(line))]) {
			one, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
			b = append(b, one...)
		}
	}
	return b
}

func TestClusterFactsComeBackAsTheyWere(t *testing.T) {
	body := AppendCluster(nil, clusterFacts)
	body = golden(t, "cluster.golden", body)
	got, err := readCluster(body)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, clusterFacts) {
		t.Errorf("read %+v, want %+v", got, clusterFacts)
	}
}

func TestFactsOfARepairComeBackAsTheyWere(t *testing.T) {
	facts := []machine.Fact{
		cluster.EpochRaised{ID: [16]byte{1, 2, 3}, Epoch: 4}, cluster.FloorRaised{Epoch: 1000}, cluster.ProducersGiven{Next: 1 << 40},
	}
	got, err := readCluster(golden(t, "cluster-repair.golden", AppendCluster(nil, facts)))
	if err != nil || !reflect.DeepEqual(got, facts) {
		t.Errorf("read %+v, %v, want %+v", got, err, facts)
	}
}

func TestClusterSnapshotComesBackAsItWas(t *testing.T) {
	c := cluster.New()
	for _, f := range clusterFacts[:2] {
		c.Apply(f)
	}
	other := clusterFacts[0].(cluster.TopicCreated)
	other.Topic.Name, other.Topic.ID = "other", [16]byte{9}
	c.Apply(other)
	c.Apply(clusterFacts[3])
	c.Apply(clusterFacts[5])
	body := SaveCluster(c.Snapshot())
	body = golden(t, "cluster-snapshot.golden", body)
	got, err := LoadCluster(body)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c.Snapshot()) {
		t.Errorf("read %+v, want %+v", got, c.Snapshot())
	}
}

func TestTruncatedFactsAreAnError(t *testing.T) {
	body := AppendCluster(nil, clusterFacts[:1])
	for n := 1; n < len(body); n++ {
		if _, err := readCluster(body[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("the first %d of %d bytes: %v, want %v", n, len(body), err, ErrShort)
		}
	}
	snapshot := SaveCluster(cluster.Snapshot{Users: []*cluster.User{{Name: strings.Repeat("x", 40)}}})
	for n := range snapshot {
		if _, err := LoadCluster(snapshot[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("the first %d of %d bytes of a snapshot: %v, want %v", n, len(snapshot), err, ErrShort)
		}
	}
}

func TestUnknownFactsAreRefused(t *testing.T) {
	none := func(b []byte) []byte { return b }
	longer := func(b []byte) []byte { return append(b, make([]byte, 17)...) } // an id, and what nobody knows
	for _, body := range [][]byte{
		appendFact(nil, 0x01ff, 1, none), appendFact(nil, kindTopicDeleted, 2, none), appendFact(nil, kindTopicDeleted, 1, longer),
	} {
		if _, err := readCluster(body); !errors.Is(err, ErrUnknown) {
			t.Errorf("%x: %v, want %v", body, err, ErrUnknown)
		}
	}
	snapshot := SaveCluster(cluster.New().Snapshot())
	snapshot[0]++
	if _, err := LoadCluster(snapshot); !errors.Is(err, ErrUnknown) {
		t.Errorf("a snapshot of a newer version: %v, want %v", err, ErrUnknown)
	}
	snapshot[0]--
	if _, err := LoadCluster(append(snapshot, 0)); !errors.Is(err, ErrUnknown) {
		t.Errorf("a snapshot with a byte too many: %v, want %v", err, ErrUnknown)
	}
}

func FuzzCluster(f *testing.F) {
	f.Add(AppendCluster(nil, clusterFacts))
	f.Add(SaveCluster(cluster.New().Snapshot()))
	f.Fuzz(func(t *testing.T, body []byte) {
		facts, err := readCluster(body)
		if err == nil {
			if again, err := readCluster(AppendCluster(nil, facts)); err != nil || !reflect.DeepEqual(facts, again) {
				t.Errorf("facts change when they are written again: %v", err)
			}
		}
		if s, err := LoadCluster(body); err == nil {
			if _, err := LoadCluster(SaveCluster(s)); err != nil {
				t.Errorf("a snapshot can't be read again: %v", err)
			}
		}
	})
}

package fact

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"milena/machine"
	"milena/machine/group/classic"
)

var (
	instance = "instance-1"
	when     = time.UnixMilli(1_700_000_000_000)
	static   = classic.Member{
		ID: "member-2", Instance: &instance, ClientID: "client", Host: "/127.0.0.1",
		Protocols:      []classic.Protocol{{Name: "range", Metadata: []byte("r")}, {Name: "sticky", Metadata: []byte("s")}},
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 5 * time.Minute, Assignment: []byte("both"),
	}
	dynamic = classic.Member{
		ID: "member-1", ClientID: "client", Host: "/127.0.0.1", Protocols: []classic.Protocol{{Name: "range", Metadata: []byte("m")}},
		SessionTimeout: 45 * time.Second, RebalanceTimeout: time.Minute, Assignment: []byte("none"),
	}
)

var groupFacts = []machine.Fact{
	classic.Generation{Group: "g", Number: 7, ProtocolType: "consumer", Protocol: "range", Leader: "member-1", Members: []classic.Member{dynamic, static}},
	classic.Assigned{Group: "g", Assignments: map[string][]byte{"member-1": []byte("0"), "member-2": []byte("1,2")}},
	classic.Replaced{Group: "g", Old: "member-2", New: static},
	classic.Committed{Group: "g", Offsets: []classic.Offset{
		{Topic: "orders", TopicID: id, Partition: 3, Offset: 1 << 40, LeaderEpoch: -1, Metadata: "note", CommitTime: when},
		{Topic: "orders", TopicID: id, Partition: 4, Offset: 0, LeaderEpoch: 2, CommitTime: when, Expires: when.Add(time.Hour)},
	}},
	classic.Uncommitted{Group: "g", Of: []classic.Partition{{Topic: "orders", Partition: 3}}},
	classic.Gone{Group: "g"},
}

func readGroups(body []byte) (facts []machine.Fact, err error) {
	for f, err := range Groups(body) {
		if err != nil {
			return facts, err
		}
		facts = append(facts, f.Fact)
	}
	return facts, nil
}

func TestGroupFactsComeBackAsTheyWere(t *testing.T) {
	body := golden(t, "group.golden", AppendGroup(nil, groupFacts))
	n := 0
	for f, err := range Groups(body) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Group != "g" || !reflect.DeepEqual(f.Fact, groupFacts[n]) {
			t.Errorf("group %s: read %+v, want %+v", f.Group, f.Fact, groupFacts[n])
		}
		n++
	}
	if n != len(groupFacts) {
		t.Errorf("%d facts, want %d", n, len(groupFacts))
	}
	if !bytes.Contains(body, id[:]) {
		t.Error("a committed offset does not name its topic's id")
	}
}

func TestAGroupsSnapshotComesBackAsItWas(t *testing.T) {
	body := golden(t, "groups-snapshot.golden", SaveGroups(groupFacts[:2]))
	facts, err := LoadGroups(body)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for f, err := range facts {
		if err != nil || !reflect.DeepEqual(f.Fact, groupFacts[n]) {
			t.Errorf("read %+v, %v; want %+v", f.Fact, err, groupFacts[n])
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d facts, want 2", n)
	}
	body[0]++
	if _, err := LoadGroups(body); !errors.Is(err, ErrUnknown) {
		t.Errorf("a newer version: %v, want %v", err, ErrUnknown)
	}
	if _, err := LoadGroups(nil); !errors.Is(err, ErrShort) {
		t.Errorf("nothing: %v, want %v", err, ErrShort)
	}
}

func TestTruncatedOrUnknownGroupFactsAreRefused(t *testing.T) {
	for _, f := range groupFacts {
		body := AppendGroup(nil, []machine.Fact{f})
		for n := 1; n < len(body); n++ {
			if _, err := readGroups(body[:n]); !errors.Is(err, ErrShort) {
				t.Errorf("%T: the first %d of %d bytes: %v, want %v", f, n, len(body), err, ErrShort)
			}
		}
	}
	for _, body := range [][]byte{
		appendFact(nil, 0x03ff, 1, func(b []byte) []byte { return appendString(b, "g") }),
		appendFact(nil, kindGroupGone, 2, func(b []byte) []byte { return appendString(b, "g") }),
		appendFact(nil, kindGroupGone, 1, func(b []byte) []byte { return append(appendString(b, "g"), 0) }),
	} {
		if facts, err := readGroups(body); !errors.Is(err, ErrUnknown) {
			t.Errorf("%x: %+v, %v; want %v", body, facts, err, ErrUnknown)
		}
	}
}

func FuzzGroup(f *testing.F) {
	f.Add(AppendGroup(nil, groupFacts))
	for _, one := range groupFacts {
		f.Add(AppendGroup(nil, []machine.Fact{one}))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		facts, err := readGroups(body)
		if err != nil {
			return
		}
		if again, err := readGroups(AppendGroup(nil, facts)); err != nil || !reflect.DeepEqual(facts, again) {
			t.Errorf("facts change when they are written again: %v\n%+v\n%+v", err, facts, again)
		}
	})
}

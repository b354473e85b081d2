package fact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
)

var id = [16]byte{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf}

func appendPartition(dst []byte, f any) []byte {
	switch f := f.(type) {
	case Data:
		return append(AppendData(dst, f), f.Batch...)
	case LogStart:
		return AppendLogStart(dst, f)
	default:
		return AppendDropped(dst, f.(Dropped))
	}
}

func TestPartitionFactsComeBackAsTheyWere(t *testing.T) {
	batch := []byte("a batch")
	data := Data{ID: id, Partition: 11, Base: 1 << 40, Next: 1<<40 + 3, MaxTimestamp: 1_700_000_000_000, Batch: batch}
	first := data
	first.Topic, first.Partition, first.Base, first.Next, first.MaxTimestamp = "orders", 0, 0, 1, -1
	for name, f := range map[string]any{
		"data":       data,
		"data-first": first,
		"log-start":  LogStart{ID: id, Partition: 11, Start: 1 << 40},
		"dropped":    Dropped{ID: id},
	} {
		t.Run(name, func(t *testing.T) {
			body := golden(t, name+".golden", appendPartition(nil, f))
			got, err := Partition(body)
			if err != nil || !reflect.DeepEqual(got, f) {
				t.Fatalf("read %+v, %v; want %+v", got, err, f)
			}
			whole := len(body)
			if strings.HasPrefix(name, "data") {
				whole -= len(batch) // it goes on to the entry's end, whose checksum the journal has
			}
			for n := range whole {
				if f, err := Partition(body[:n]); !errors.Is(err, ErrShort) {
					t.Errorf("the first %d of %d bytes: %+v, %v; want %v", n, len(body), f, err, ErrShort)
				}
			}
			for at, change := range map[int]byte{1: 0x80, 2: 1, 3: 0x80} {
				other := bytes.Clone(body)
				other[at] ^= change
				if f, err := Partition(other); !errors.Is(err, ErrUnknown) {
					t.Errorf("another byte %d: %+v, %v; want %v", at, f, err, ErrUnknown)
				}
			}
			if !strings.HasPrefix(name, "data") {
				if f, err := Partition(append(body, 0)); !errors.Is(err, ErrUnknown) {
					t.Errorf("a byte too many: %+v, %v; want %v", f, err, ErrUnknown)
				}
			}
		})
	}
}

// A batch's fact has the topic's id and room for a transaction's number from
// the first format on; a number that means something is never taken for none.
func TestDataHasATransactionNumber(t *testing.T) {
	body := AppendData(nil, Data{ID: id, Batch: []byte("b")})
	if got := [16]byte(body[4:20]); got != id {
		t.Errorf("the topic's id at byte 4 is %x, want %x", got, id)
	}
	const at = 48
	if n := binary.LittleEndian.Uint64(body[at:]); n != 0 || len(body) != at+8 {
		t.Fatalf("transaction number %d at byte %d of %d, want 0 at the end", n, at, len(body))
	}
	binary.LittleEndian.PutUint64(body[at:], 7)
	if f, err := Partition(append(body, "b"...)); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "transaction 7") {
		t.Errorf("data of transaction 7: %+v, %v; want %v", f, err, ErrUnknown)
	}
}

var shardStates = []PartitionState{
	{ID: id, Index: 3, Topic: "orders", Start: 5, Next: 1 << 40, SettledStart: 4, SettledNext: 1<<40 - 1, Segment: 7, Length: 4096,
		Producers: []ProducerState{
			{ID: 1000, Epoch: 2, Time: 1_700_000_000_000, Batches: []ProducerBatch{{First: 0, Last: 2, Base: 5}, {First: 3, Last: 2147483647, Base: 8}}},
			{ID: 1001, Epoch: 0, Time: 1_700_000_000_001},
		}},
	{ID: [16]byte{1}, Topic: "empty"},
}

func TestAShardsSnapshotComesBackAsItWas(t *testing.T) {
	body := golden(t, "shard-snapshot.golden", SavePartitions(shardStates))
	got, err := LoadPartitions(body)
	if err != nil || !reflect.DeepEqual(got, shardStates) {
		t.Fatalf("read %+v, %v; want %+v", got, err, shardStates)
	}
	for n := range body {
		if _, err := LoadPartitions(body[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("the first %d of %d bytes: %v, want %v", n, len(body), err, ErrShort)
		}
	}
	if _, err := LoadPartitions(append(bytes.Clone(body), 0)); !errors.Is(err, ErrUnknown) {
		t.Errorf("a byte too many: %v, want %v", err, ErrUnknown)
	}
	body[0]++
	if _, err := LoadPartitions(body); !errors.Is(err, ErrUnknown) {
		t.Errorf("a newer version: %v, want %v", err, ErrUnknown)
	}
}

func FuzzPartition(f *testing.F) {
	for _, seed := range []any{
		Data{ID: id, Partition: 1, Topic: "orders", Batch: []byte("b")}, Data{ID: id}, LogStart{ID: id, Start: 7}, Dropped{ID: id},
	} {
		f.Add(appendPartition(nil, seed))
	}
	f.Add(SavePartitions(shardStates))
	f.Fuzz(func(t *testing.T, body []byte) {
		if f, err := Partition(body); err == nil {
			if again := appendPartition(nil, f); !bytes.Equal(again, body) && !namedNothing(f, body) {
				t.Errorf("%+v is written as %x, and was read from %x", f, again, body)
			}
		}
		if states, err := LoadPartitions(body); err == nil {
			again, err := LoadPartitions(SavePartitions(states))
			if err != nil || !reflect.DeepEqual(again, states) {
				t.Errorf("a snapshot changes when it is written again: %v", err)
			}
		}
	})
}

// namedNothing: a name of no bytes is written as none.
func namedNothing(f any, body []byte) bool {
	d, ok := f.(Data)
	return ok && d.Topic == "" && body[3]&hasName != 0
}

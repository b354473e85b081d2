package producer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine/machinetest"
)

// store is a partition as far as its producers see it.
type store struct {
	table Table
	end   int64
	now   int64
}

func (s *store) append(b Incoming) string {
	w, known := s.table[b.ID]
	base, duplicate, err := Check(w, known, b)
	var code *kerr.Error
	switch {
	case errors.As(err, &code):
		return "refused: " + err.Error()
	case err != nil:
		return "refused without a code: " + err.Error()
	case duplicate:
		return fmt.Sprintf("is at %d already", base)
	}
	s.table.Put(b.ID, w.With(b, s.end))
	base, s.end = s.end, s.end+int64(b.Count)
	return fmt.Sprintf("stored at %d", base)
}

func (s *store) show() []string {
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(s.table)) {
		w := s.table[id]
		line := fmt.Sprintf("producer %d epoch %d at %d:", id, w.Epoch, w.Time)
		for _, b := range w.Batches {
			line += fmt.Sprintf(" %d-%d at %d", b.First, b.Last, b.Base)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestTranscripts(t *testing.T) {
	machinetest.RunAll(t, func(t *testing.T) func(machinetest.Command) []string {
		s := &store{table: make(Table)}
		return func(c machinetest.Command) []string {
			switch c.Verb {
			case "append":
				return []string{s.append(Incoming{
					ID: c.Int("producer", 1), Epoch: int16(c.Int("epoch", 0)), Sequence: int32(c.Int("seq", 0)),
					Count: int32(c.Int("count", 1)), Time: s.now,
				})}
			case "time":
				s.now = c.Int("ms", 0)
				return nil
			case "expire":
				s.table.Expire(c.Int("before", 0))
				return s.show()
			case "show":
				return s.show()
			}
			c.Fail("no such command")
			return nil
		}
	})
}

// A producer that repeats, restarts and loses answers as it likes: what it has
// written stands in the log once, in order, and a repeat is told its place.
func TestRandomProducersStoreOnceAndInOrder(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 11))
		s := &store{table: make(Table)}
		next := int32(math.MaxInt32 - 40 + r.IntN(80)) // most go over the end
		if next < 0 {
			next = 0
		}
		epoch := int16(0)
		var sent []Incoming // stored ones of this epoch
		var bases []int64
		for step := range 200 {
			b := Incoming{ID: 7, Epoch: epoch, Sequence: next, Count: int32(1 + r.IntN(9)), Time: int64(step)}
			switch r.IntN(8) {
			case 0: // a repeat of any earlier one
				if len(sent) == 0 {
					continue
				}
				i := r.IntN(len(sent))
				end := s.end
				got := s.append(sent[i])
				remembers := i >= len(sent)-remembered
				if want := fmt.Sprintf("is at %d already", bases[i]); remembers && got != want {
					t.Fatalf("seed %d: the batch %d before the last, again: %s, want %s", seed, len(sent)-1-i, got, want)
				}
				if s.end != end {
					t.Fatalf("seed %d: a repeat of %+v was %s", seed, sent[i], got)
				}
				continue
			case 1: // one too far ahead
				b.Sequence = after(next, int32(1+r.IntN(5)))
				end := s.end
				if got := s.append(b); len(sent) > 0 && s.end != end {
					t.Fatalf("seed %d: a batch behind a gap was %s", seed, got)
				} else if len(sent) > 0 {
					continue
				}
			case 2: // a new epoch begins at 0
				if r.IntN(4) > 0 || len(sent) == 0 {
					continue
				}
				epoch++
				b.Epoch, b.Sequence = epoch, 0
				sent, bases = nil, nil
				old := Incoming{ID: 7, Epoch: epoch - 1, Sequence: next, Count: 1}
				if got := s.append(b); got != fmt.Sprintf("stored at %d", s.end-int64(b.Count)) {
					t.Fatalf("seed %d: the first of epoch %d: %s", seed, epoch, got)
				}
				if _, _, err := Check(s.table[7], true, old); !errors.Is(err, kerr.InvalidProducerEpoch) {
					t.Fatalf("seed %d: the epoch before: %v", seed, err)
				}
			default:
				if got, want := s.append(b), fmt.Sprintf("stored at %d", s.end-int64(b.Count)); got != want {
					t.Fatalf("seed %d: %+v was %s, want %s", seed, b, got, want)
				}
			}
			next = after(b.last(), 1)
			sent, bases = append(sent, b), append(bases, s.end-int64(b.Count))
			if n := len(s.table[7].Batches); n > remembered || n != min(remembered, len(sent)) {
				t.Fatalf("seed %d: %d batches are remembered of %d", seed, n, len(sent))
			}
		}
	}
}

// A window is a value: what was decided ahead of it does not change it.
func TestAWindowDoesNotChange(t *testing.T) {
	w := Window{}
	for i := range int32(remembered) {
		w = w.With(Incoming{Sequence: i, Count: 1}, int64(i))
	}
	before := slices.Clone(w.Batches)
	a := w.With(Incoming{Sequence: 5, Count: 1}, 5)
	b := w.With(Incoming{Sequence: 5, Count: 3}, 5)
	if !slices.Equal(w.Batches, before) {
		t.Errorf("the window became %+v", w)
	}
	if a.Batches[4].Last != 5 || b.Batches[4].Last != 7 {
		t.Errorf("two futures share their end: %+v and %+v", a, b)
	}
}

func TestTheLongestIdleIsForgottenFirst(t *testing.T) {
	table := make(Table)
	for id := range int64(max) {
		table.Put(id, Window{Time: 1000 + id})
	}
	table.Put(5, Window{Time: 1_000_000}) // known already
	if len(table) != max {
		t.Fatalf("%d producers, want %d", len(table), max)
	}
	table.Put(max, Window{Time: 1_000_000})
	if _, there := table[0]; there || len(table) != max {
		t.Errorf("%d producers, the longest idle among them: %t", len(table), there)
	}
	if _, there := table[max]; !there {
		t.Error("the newest is not there")
	}
}

package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"milena/storage/journal"
)

func oneLog(t *testing.T) (*scripted, *words, *Set) {
	t.Helper()
	j, state := newScripted(), &words{}
	t.Cleanup(func() { j.Close() })
	return j, state, NewSet(j, []State{state})
}

func answer(t *testing.T, answered chan error) error {
	t.Helper()
	select {
	case err := <-answered:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("no answer within 5s")
		return nil
	}
}

func (w *words) text(l *Log) string {
	l.Lock()
	defer l.Unlock()
	return strings.Join(w.said, " ")
}

func TestNothingIsAnsweredBeforeItIsDurable(t *testing.T) {
	j, state, set := oneLog(t)
	l, gate := set.Log(0), make(chan struct{})
	j.outcome = func(journal.Entry) journal.Outcome { <-gate; return journal.OK }

	first := newSay(l, state, "a").do()
	question := &ask{make(chan error, 1)}
	l.Lock()
	queued := l.Behind(question)
	l.Unlock()
	if !queued {
		t.Fatal("a question behind an entry under way was to be answered at once")
	}
	time.Sleep(20 * time.Millisecond)
	if len(first.answered)+len(question.answered) != 0 {
		t.Fatal("answered while the journal still had the entry")
	}
	if got := state.text(l); got != "" {
		t.Fatalf("applied %q before it was durable", got)
	}
	close(gate)
	for _, c := range []chan error{first.answered, question.answered} {
		if err := answer(t, c); err != nil {
			t.Fatal(err)
		}
	}
	l.Lock()
	defer l.Unlock()
	if l.Behind(question) {
		t.Error("a question with nothing under way waits")
	}
}

func TestTakenIsDecidedAgainInTheFirstOrder(t *testing.T) {
	j, state, set := oneLog(t)
	l, gate := set.Log(0), make(chan struct{})
	j.outcome = func(journal.Entry) journal.Outcome { <-gate; return journal.OK }

	var all []*say
	for _, word := range []string{"a", "b", "c", "d", "e", "f"} {
		all = append(all, newSay(l, state, word).do())
	}
	j.stranger(0, "x")
	j.stranger(0, "y")
	close(gate)
	for _, s := range all {
		if err := answer(t, s.answered); err != nil {
			t.Fatalf("%s: %v", s.word, err)
		}
		if s.decided != 2 {
			t.Errorf("%s was decided %d times, want 2", s.word, s.decided)
		}
	}
	if got, want := state.text(l), "x y a b c d e f"; got != want {
		t.Errorf("the log says %q, want %q", got, want)
	}
}

func TestUnknownIsSentAgainUnchanged(t *testing.T) {
	j, state, set := oneLog(t)
	l := set.Log(0)
	var mu sync.Mutex
	doubts := 3
	j.outcome = func(e journal.Entry) journal.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if e.Place == 2 && doubts > 0 {
			doubts--
			return journal.Unknown
		}
		return journal.OK
	}
	var all []*say
	for _, word := range []string{"a", "b", "c"} {
		all = append(all, newSay(l, state, word).do())
	}
	for _, s := range all {
		if err := answer(t, s.answered); err != nil {
			t.Fatalf("%s: %v", s.word, err)
		}
		if s.decided != 1 {
			t.Errorf("%s was decided %d times, want once", s.word, s.decided)
		}
	}
	tokens := make(map[journal.Token]bool)
	for _, e := range j.sent {
		if e.Place == 2 {
			tokens[e.Token] = true
		}
	}
	if len(tokens) != 1 {
		t.Errorf("place 2 was sent with %d tokens, want the same each time", len(tokens))
	}
	if got, want := state.text(l), "a b c"; got != want {
		t.Errorf("the log says %q, want %q", got, want)
	}
}

func TestABrokenJournalEndsTheLog(t *testing.T) {
	j, state, set := oneLog(t)
	l := set.Log(0)
	j.outcome = func(e journal.Entry) journal.Outcome {
		if e.Place >= 2 {
			return journal.Broken
		}
		return journal.OK
	}
	if err := answer(t, newSay(l, state, "a").do().answered); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"b", "c"} {
		if err := answer(t, newSay(l, state, word).do().answered); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v, want %v", word, err, ErrBroken)
		}
	}
	if got := state.text(l); got != "a" {
		t.Errorf("the log says %q, want what was durable: a", got)
	}
}

// Whatever the journal answers, each command is answered once, and what was
// answered stands in the log once, in the order of the state.
func TestRandomOutcomesLoseAndDoubleNothing(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			j, state, set := oneLog(t)
			l := set.Log(0)
			random := rand.New(rand.NewPCG(seed, 1))
			j.outcome = func(journal.Entry) journal.Outcome {
				switch random.IntN(12) {
				case 0:
					j.stranger(0, "x")
				case 1:
					return journal.Unknown
				}
				return journal.OK
			}
			var all []*say
			for i := range 40 {
				all = append(all, newSay(l, state, fmt.Sprintf("w%d", i)).do())
			}
			for _, s := range all {
				if err := answer(t, s.answered); err != nil {
					t.Fatalf("%s: %v", s.word, err)
				}
			}
			j.mu.Lock()
			var stored []string
			for _, e := range j.entries[0] {
				stored = append(stored, string(e.Body[0]))
			}
			j.mu.Unlock()
			for stored[len(stored)-1] == "x" { // nobody wrote after these strangers, so nobody read them
				stored = stored[:len(stored)-1]
			}
			if got := state.text(l); got != strings.Join(stored, " ") {
				t.Fatalf("state %q, journal %q", got, strings.Join(stored, " "))
			}
			for _, s := range all {
				if n := len(slices.DeleteFunc(slices.Clone(stored), func(w string) bool { return w != s.word })); n != 1 {
					t.Errorf("%s stands in the log %d times", s.word, n)
				}
				if len(s.answered) != 0 {
					t.Errorf("%s was answered twice", s.word)
				}
			}
		})
	}
}

func TestRecoveryIsSnapshotAndWhatCameAfter(t *testing.T) {
	j, state, set := oneLog(t)
	l := set.Log(0)
	for _, word := range []string{"a", "b"} {
		answer(t, newSay(l, state, word).do().answered)
	}
	settle := func(context.Context) error { // what becomes durable meanwhile is in the snapshot, and above Keep
		return answer(t, newSay(l, state, "c").do().answered)
	}
	if err := set.Checkpoint(context.Background(), settle); err != nil {
		t.Fatal(err)
	}
	if set.Changed() {
		t.Error("changed right after a checkpoint")
	}
	answer(t, newSay(l, state, "d").do().answered)
	if !set.Changed() {
		t.Error("not changed after an entry")
	}
	if s := j.snapshots[0]; s.Place != 3 || s.Keep != 2 {
		t.Errorf("snapshot at place %d keeps above %d, want 3 and 2", s.Place, s.Keep)
	}

	again := &words{}
	second := NewSet(j, []State{again})
	if err := second.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, want := again.text(second.Log(0)), "a b c d"; got != want {
		t.Errorf("recovered %q, want %q", got, want)
	}
	if err := answer(t, newSay(second.Log(0), again, "e").do().answered); err != nil {
		t.Errorf("the first entry after recovery: %v", err)
	}
}

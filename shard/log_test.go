package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milena/storage/journal"
	"milena/storage/journal/faulty"
)

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
	synctest.Test(t, func(t *testing.T) {
		j, state, l := oneLog(t)
		j.Hang()
		first := newSay(l, state, "a").do()
		question := &ask{make(chan error, 1)}
		l.Lock()
		queued := l.Behind(question)
		l.Unlock()
		if !queued {
			t.Fatal("a question behind an entry under way was to be answered at once")
		}
		synctest.Wait()
		if len(first.answered)+len(question.answered) != 0 {
			t.Fatal("answered while the journal still had the entry")
		}
		if got := state.text(l); got != "" {
			t.Fatalf("applied %q before it was durable", got)
		}
		j.Resume()
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
	})
}

func TestTakenIsDecidedAgainInTheFirstOrder(t *testing.T) {
	j, state, l := oneLog(t)
	first := true
	j.Steer(func(journal.Entry) faulty.Fault {
		if !first {
			return faulty.Fault{}
		}
		first = false
		return strangers("x", "y")
	})
	j.Hang()
	var all []*say
	for _, word := range []string{"a", "b", "c", "d", "e", "f"} {
		all = append(all, newSay(l, state, word).do())
	}
	j.Resume()
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
	if state.drops == 0 {
		t.Error("what ran ahead of the durable state was not dropped")
	}
}

// What is Unknown is sent again, unchanged, until the journal knows: then it was
// there, or it is now, or another writer's entry is and all is decided again.
func TestUnknownIsSentAgainUnchanged(t *testing.T) {
	for name, test := range map[string]struct {
		faults  []faulty.Fault // of the second entry, one each time
		says    string
		decided int
	}{
		"its own entry is there":     {[]faulty.Fault{{Outcome: journal.Unknown, Stored: true}}, "a b c", 1},
		"it is not there":            {[]faulty.Fault{lost(), lost(), lost()}, "a b c", 1},
		"it is there the third time": {[]faulty.Fault{lost(), {Outcome: journal.Unknown, Stored: true}, lost()}, "a b c", 1},
		"a stranger's is there": {[]faulty.Fault{
			{Outcome: journal.Unknown, Strangers: [][]byte{[]byte("x")}}, lost(),
		}, "a x b c", 2},
	} {
		t.Run(name, func(t *testing.T) {
			j, state, l := oneLog(t)
			tokens, left := make(map[journal.Token]bool), test.faults
			j.Steer(func(e journal.Entry) faulty.Fault {
				if e.Place != 2 || len(left) == 0 {
					return faulty.Fault{}
				}
				tokens[e.Token] = true
				f := left[0]
				left = left[1:]
				return f
			})
			j.Hang() // until all are on their way
			var all []*say
			for _, word := range []string{"a", "b", "c"} {
				all = append(all, newSay(l, state, word).do())
			}
			j.Resume()
			for _, s := range all {
				if err := answer(t, s.answered); err != nil {
					t.Fatalf("%s: %v", s.word, err)
				}
			}
			if got := all[1].decided; got != test.decided {
				t.Errorf("decided %d times, want %d", got, test.decided)
			}
			if len(tokens) != 1 {
				t.Errorf("sent with %d tokens, want the same each time", len(tokens))
			}
			if got := state.text(l); got != test.says {
				t.Errorf("the log says %q, want %q", got, test.says)
			}
			if got := stored(t, j); got != test.says {
				t.Errorf("the journal holds %q, want %q", got, test.says)
			}
		})
	}
}

// Acknowledgement stops for good, even when the journal would be well again.
func TestABrokenJournalEndsTheLog(t *testing.T) {
	j, state, l := oneLog(t)
	j.Steer(func(e journal.Entry) faulty.Fault {
		if e.Place >= 2 {
			return faulty.Fault{Outcome: journal.Broken}
		}
		return faulty.Fault{}
	})
	if err := answer(t, newSay(l, state, "a").do().answered); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"b", "c"} {
		if err := answer(t, newSay(l, state, word).do().answered); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v, want %v", word, err, ErrBroken)
		}
		j.Steer(nil)
	}
	question := &ask{make(chan error, 1)}
	l.Lock()
	waits := l.Behind(question)
	l.Unlock()
	if !waits {
		t.Fatal("a question to a broken log was to be answered by its caller, as if all were well")
	}
	if err := answer(t, question.answered); !errors.Is(err, ErrBroken) {
		t.Errorf("a question: %v, want %v", err, ErrBroken)
	}
	if got := state.text(l); got != "a" {
		t.Errorf("the log says %q, want what was durable: a", got)
	}
}

// A slow journal holds up who waits for it, and nobody else: what is durable
// can be read, and what is decided goes on being decided.
func TestASlowJournalHoldsUpNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, state, l := oneLog(t)
		if err := answer(t, newSay(l, state, "a").do().answered); err != nil {
			t.Fatal(err)
		}
		j.Hang()
		var all []*say
		for i := range 20 { // far beyond the window
			all = append(all, newSay(l, state, fmt.Sprint(i)).do())
		}
		time.Sleep(time.Hour)
		if got := state.text(l); got != "a" {
			t.Errorf("read %q while the disk hung, want what is durable: a", got)
		}
		for _, s := range all {
			if len(s.answered) != 0 {
				t.Fatalf("%s is answered while the disk hangs", s.word)
			}
		}
		j.Resume()
		for _, s := range all {
			if err := answer(t, s.answered); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Whatever the journal answers, each command is answered once, and what was
// answered stands in the log once, in the order of the state.
func TestRandomOutcomesLoseAndDoubleNothing(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomOutcomes(t, seed) })
		})
	}
}

func randomOutcomes(t *testing.T, seed uint64) {
	j, state, l := oneLog(t)
	random := rand.New(rand.NewPCG(seed, 1))
	j.Steer(func(journal.Entry) (f faulty.Fault) {
		if random.IntN(12) == 0 {
			f = strangers("x", "x")
		}
		if random.IntN(12) == 0 {
			f.Outcome, f.Stored = journal.Unknown, random.IntN(2) == 0
		}
		return f
	})
	var all []*say
	for i := range 40 {
		all = append(all, newSay(l, state, fmt.Sprintf("w%d", i)).do())
	}
	for _, s := range all {
		if err := answer(t, s.answered); err != nil {
			t.Fatalf("%s: %v", s.word, err)
		}
	}
	holds := stored(t, j)
	if got := state.text(l); got != holds {
		t.Fatalf("state %q, journal %q", got, holds)
	}
	for _, s := range all {
		if n := strings.Count(holds+" ", s.word+" "); n != 1 {
			t.Errorf("%s stands in the log %d times", s.word, n)
		}
		if len(s.answered) != 0 {
			t.Errorf("%s was answered twice", s.word)
		}
	}
}

func TestRecoveryIsSnapshotAndWhatCameAfter(t *testing.T) {
	j, state, _ := oneLog(t)
	set := NewSet(j, []State{state})
	l := set.Log(0)
	for _, word := range []string{"a", "b"} {
		answer(t, newSay(l, state, word).do().answered)
	}
	var during Stats
	settle := func(context.Context) error { // what becomes durable meanwhile is in the snapshot, and above Keep
		during = set.Stats()
		return answer(t, newSay(l, state, "c").do().answered)
	}
	if err := set.Checkpoint(context.Background(), settle); err != nil {
		t.Fatal(err)
	}
	if s := set.Stats(); !during.Checkpointing || during.Checkpoints != 0 || s.Checkpointing || s.Checkpoints != 1 || s.CheckpointNanos == 0 {
		t.Errorf("%+v while a checkpoint ran, %+v behind it", during, s)
	}
	if set.Changed() {
		t.Error("changed right after a checkpoint")
	}
	answer(t, newSay(l, state, "d").do().answered)
	if !set.Changed() {
		t.Error("not changed after an entry")
	}
	snapshots, err := j.Load(context.Background())
	if err != nil || len(snapshots) != 1 || snapshots[0].Place != 3 || snapshots[0].Keep != 2 {
		t.Errorf("snapshots %+v, %v; want one at place 3 that keeps above 2", snapshots, err)
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

// full is a journal whose Save finds no room a few times.
type full struct {
	*faulty.Journal
	left int
	err  error
}

func (f *full) Save(ctx context.Context, snapshots []journal.Snapshot) error {
	if f.left > 0 {
		f.left--
		return f.err
	}
	return f.Journal.Save(ctx, snapshots)
}

// A checkpoint that finds no room is tried again; any other failure ends it all.
func TestACheckpointWithoutRoomIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, state, _ := oneLog(t)
		j := &full{inner, 3, fmt.Errorf("%w: test", journal.ErrNoRoom)}
		set := NewSet(j, []State{state})
		if err := answer(t, newSay(set.Log(0), state, "a").do().answered); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- set.Run(ctx, time.Minute, func(context.Context) error { return nil }) }()
		time.Sleep(2 * time.Minute)
		if s := set.Stats(); s.Checkpoints != 1 || s.Checkpointing {
			t.Errorf("%+v, want one checkpoint saved and none under way", s)
		}
		if snapshots, err := inner.Load(ctx); err != nil || len(snapshots) != 1 || j.left != 0 {
			t.Errorf("loaded %+v, %v, with %d failures to come; want a snapshot", snapshots, err, j.left)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}

		j.left, j.err = 1, errors.New("input/output error")
		answer(t, newSay(set.Log(0), state, "b").do().answered)
		if err := set.Run(t.Context(), time.Minute, func(context.Context) error { return nil }); !errors.Is(err, j.err) {
			t.Errorf("ended with %v, want %v", err, j.err)
		}
	})
}

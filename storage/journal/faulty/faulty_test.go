package faulty

import (
	"slices"
	"testing"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/file"
	"milena/storage/journal/journaltest"
	"milena/storage/journal/memory"
)

// Without a fault it is the engine behind it, whichever that is.
func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		journaltest.Run(t, journaltest.Engine{
			Open: func(t *testing.T, _ int) journal.Journal { return wrap(t, memory.New()) },
			Reopen: func(t *testing.T, j journal.Journal) journal.Journal {
				return wrap(t, j.(*Journal).Engine().(*memory.Journal).Reopen())
			},
		})
	})
	t.Run("file", func(t *testing.T) {
		fs := make(map[*Journal]disk.FS)
		logs := 0
		open := func(t *testing.T, d disk.FS) *Journal {
			engine, err := file.Open(d, "journal", file.Options{Logs: logs, FileBytes: 1 << 20, FirstBytes: 256 << 10, MaxLive: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			j := wrap(t, engine)
			fs[j] = d
			return j
		}
		journaltest.Run(t, journaltest.Engine{
			Open: func(t *testing.T, n int) journal.Journal { logs = n; return open(t, disk.NewMemory()) },
			Reopen: func(t *testing.T, j journal.Journal) journal.Journal {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, fs[j.(*Journal)])
			},
		})
	})
}

func wrap(t *testing.T, engine journal.Journal) *Journal {
	j := Wrap(engine)
	t.Cleanup(func() { j.Close() })
	return j
}

// at gives a fault to the first entry of a place, and none to any other.
func at(place uint64, f Fault) func(journal.Entry) Fault {
	done := false
	return func(e journal.Entry) Fault {
		if e.Place != place || done {
			return Fault{}
		}
		done = true
		return f
	}
}

func same(t *testing.T, got []journal.Outcome, want ...journal.Outcome) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("outcomes %v, want %v", got, want)
	}
}

// Whatever was Unknown, the same entries again say what became of them.
func TestUnknownIsResolvedByTheSameEntryAgain(t *testing.T) {
	for name, test := range map[string]struct {
		fault Fault
		again journal.Outcome
		holds []string
	}{
		"it was stored":     {Fault{Outcome: journal.Unknown, Stored: true}, journal.OK, []string{"1", "2", "3"}},
		"it was lost":       {Fault{Outcome: journal.Unknown}, journal.OK, []string{"1", "2", "3"}},
		"a stranger's came": {Fault{Outcome: journal.Unknown, Strangers: [][]byte{[]byte("x")}}, journal.Taken, []string{"1", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := wrap(t, memory.New())
			j.Steer(at(2, test.fault))
			w := &journaltest.Writer{}
			first, second, third := w.Next("1"), w.Next("2"), w.Next("3")
			same(t, journaltest.Append(t, j, first, second, third), journal.OK, journal.Unknown, journal.Unknown)
			same(t, journaltest.Append(t, j, third), journal.Unknown) // not before the second is resolved
			same(t, journaltest.Append(t, j, second, third), test.again, test.again)
			if got := journaltest.Bodies(t, j, 0, 0); !slices.Equal(got, test.holds) {
				t.Errorf("the log holds %q, want %q", got, test.holds)
			}
		})
	}
}

func TestTakenIsAnotherWritersEntry(t *testing.T) {
	j := wrap(t, memory.New())
	j.Steer(at(2, Fault{Strangers: [][]byte{[]byte("x"), []byte("y")}}))
	w := &journaltest.Writer{}
	same(t, journaltest.Append(t, j, w.Next("1"), w.Next("2"), w.Next("3")), journal.OK, journal.Taken, journal.Taken)
	if got := journaltest.Bodies(t, j, 0, 0); !slices.Equal(got, []string{"1", "x", "y"}) {
		t.Errorf("the log holds %q", got)
	}
}

func TestBrokenIsForGood(t *testing.T) {
	j := wrap(t, memory.New())
	j.Steer(at(2, Fault{Outcome: journal.Broken}))
	w, other := &journaltest.Writer{}, &journaltest.Writer{Log: 1}
	same(t, journaltest.Append(t, j, w.Next("1"), w.Next("2"), other.Next("1")), journal.OK, journal.Broken, journal.Broken)
	j.Steer(nil)
	same(t, journaltest.Append(t, j, other.Next("2")), journal.Broken)
	if err := j.Save(t.Context(), nil); err == nil {
		t.Error("a broken journal saved a snapshot")
	}
}

func TestWhatHangsIsToldLater(t *testing.T) {
	j := wrap(t, memory.New())
	w := &journaltest.Writer{}
	j.Hang()
	told := make(chan []journal.Outcome, 2)
	for _, body := range []string{"1", "2"} {
		j.Append([]journal.Entry{w.Next(body)}, func(o []journal.Outcome) { told <- o })
	}
	select {
	case o := <-told:
		t.Fatalf("told %v while the disk hung", o)
	case <-time.After(20 * time.Millisecond):
	}
	j.Resume()
	same(t, <-told, journal.OK)
	same(t, <-told, journal.OK)
}

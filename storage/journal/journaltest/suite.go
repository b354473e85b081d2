// Package journaltest is the contract of seam 1 as tests: every engine passes
// this suite.
package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"milena/storage/journal"
)

// Open opens the engine's journal for a number of logs; Reopen closes it and
// opens what a new process would find.
type Engine struct {
	Open   func(t *testing.T, logs int) journal.Journal
	Reopen func(t *testing.T, j journal.Journal) journal.Journal
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	for name, test := range map[string]func(*testing.T, Engine){
		"entries are read as they were written":       entriesAreReadAsWritten,
		"a lost predecessor is noticed":               lostPredecessor,
		"a stranger's predecessor is noticed":         strangersPredecessor,
		"a repeat with the same token is OK once":     repeat,
		"a repeat after a trim is OK":                 repeatAfterTrim,
		"snapshots come back, and what is above Keep": snapshots,
		"two saves are kept":                          twoKept,
		"an entry larger than a chunk":                largeEntry,
		"many writers at once":                        manyWriters,
		"random walks":                                randomWalks,
		"after Close all is Broken":                   closed,
	} {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// Writer appends to one log, behind its own last entry.
type Writer struct {
	Log   uint16
	Place uint64
	Token journal.Token
}

// Next makes the next entry, and goes on behind it.
func (w *Writer) Next(body string) journal.Entry {
	e := journal.Entry{Log: w.Log, Place: w.Place + 1, Prev: w.Token, Token: journal.Token(rand.Uint64() | 1), Body: [][]byte{[]byte(body)}}
	w.Place, w.Token = e.Place, e.Token
	return e
}

// Append appends and waits.
func Append(t *testing.T, j journal.Journal, entries ...journal.Entry) []journal.Outcome {
	t.Helper()
	told := make(chan []journal.Outcome, 1)
	j.Append(entries, func(o []journal.Outcome) { told <- append([]journal.Outcome(nil), o...) })
	select {
	case o := <-told:
		return o
	case <-time.After(20 * time.Second):
		t.Fatal("no outcome within 20s")
		return nil
	}
}

func want(t *testing.T, got []journal.Outcome, outcomes ...journal.Outcome) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(outcomes) {
		t.Fatalf("outcomes %v, want %v", got, outcomes)
	}
}

// Bodies reads a log above a place.
func Bodies(t *testing.T, j journal.Journal, log uint16, above uint64) []string {
	t.Helper()
	var bodies []string
	for e, err := range j.Read(context.Background(), []journal.Cursor{{Log: log, Place: above}}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Log != log || e.Place != above+uint64(len(bodies))+1 {
			t.Fatalf("read log %d place %d, want log %d place %d", e.Log, e.Place, log, above+uint64(len(bodies))+1)
		}
		bodies = append(bodies, string(bytes.Join(e.Body, nil)))
	}
	return bodies
}

func same(t *testing.T, got []string, bodies ...string) {
	t.Helper()
	if len(got) != len(bodies) {
		t.Fatalf("read %d entries, want %d", len(got), len(bodies))
	}
	for i := range got {
		if got[i] != bodies[i] {
			t.Fatalf("entry %d: %.40q (%d bytes), want %.40q (%d bytes)", i, got[i], len(got[i]), bodies[i], len(bodies[i]))
		}
	}
}

func entriesAreReadAsWritten(t *testing.T, e Engine) {
	j := e.Open(t, 3)
	a, b := &Writer{Log: 0}, &Writer{Log: 2}
	want(t, Append(t, j, a.Next("a1"), b.Next("b1"), a.Next("a2")), journal.OK, journal.OK, journal.OK)
	pieces := b.Next("")
	pieces.Body = [][]byte{[]byte("b"), nil, []byte("2")}
	want(t, Append(t, j, pieces), journal.OK)
	want(t, Append(t, j, a.Next("")), journal.OK)
	for range 2 {
		same(t, Bodies(t, j, 0, 0), "a1", "a2", "")
		same(t, Bodies(t, j, 2, 0), "b1", "b2")
		same(t, Bodies(t, j, 0, 1), "a2", "")
		same(t, Bodies(t, j, 1, 0))
		j = e.Reopen(t, j)
	}
	want(t, Append(t, j, b.Next("b3")), journal.OK)
	same(t, Bodies(t, j, 2, 0), "b1", "b2", "b3")
}

func lostPredecessor(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	w := &Writer{}
	want(t, Append(t, j, w.Next("1")), journal.OK)
	w.Next("never sent")
	want(t, Append(t, j, w.Next("3"), w.Next("4")), journal.Taken, journal.Taken)
	same(t, Bodies(t, j, 0, 0), "1")
}

func strangersPredecessor(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	a, b := &Writer{}, &Writer{}
	want(t, Append(t, j, a.Next("a1")), journal.OK)
	want(t, Append(t, j, b.Next("b1"), b.Next("b2")), journal.Taken, journal.Taken)
	want(t, Append(t, j, a.Next("a2")), journal.OK)
	same(t, Bodies(t, j, 0, 0), "a1", "a2")
}

func repeat(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	w := &Writer{}
	first, second := w.Next("1"), w.Next("2")
	want(t, Append(t, j, first, second), journal.OK, journal.OK)
	want(t, Append(t, j, first), journal.OK)
	want(t, Append(t, j, second), journal.OK)
	same(t, Bodies(t, j, 0, 0), "1", "2")
	j = e.Reopen(t, j)
	want(t, Append(t, j, second), journal.OK)
	same(t, Bodies(t, j, 0, 0), "1", "2")
}

func save(t *testing.T, j journal.Journal, w *Writer, keep uint64, body string) {
	t.Helper()
	err := j.Save(context.Background(), []journal.Snapshot{{Log: w.Log, Place: w.Place, Token: w.Token, Keep: keep, Body: []byte(body)}})
	if err != nil {
		t.Fatal(err)
	}
}

func repeatAfterTrim(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	w := &Writer{}
	var last journal.Entry
	for i := range 20 {
		last = w.Next(fmt.Sprint(i))
		want(t, Append(t, j, last), journal.OK)
	}
	for range 3 {
		save(t, j, w, w.Place, "s")
	}
	want(t, Append(t, j, last), journal.OK)
	j = e.Reopen(t, j)
	want(t, Append(t, j, last), journal.OK)
	want(t, Append(t, j, w.Next("next")), journal.OK)
	same(t, Bodies(t, j, 0, w.Place-1), "next")
}

func snapshots(t *testing.T, e Engine) {
	j := e.Open(t, 2)
	w := &Writer{Log: 1}
	for i := range 5 {
		want(t, Append(t, j, w.Next(fmt.Sprint(i))), journal.OK)
	}
	save(t, j, w, 3, "five")
	for range 2 {
		got, err := j.Load(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Log != 1 || got[0].Place != 5 || got[0].Token != w.Token || got[0].Keep != 3 || string(got[0].Body) != "five" {
			t.Fatalf("loaded %+v", got)
		}
		same(t, Bodies(t, j, 1, 3), "3", "4")
		j = e.Reopen(t, j)
	}
}

func twoKept(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	w := &Writer{}
	for i := range 9 {
		want(t, Append(t, j, w.Next(fmt.Sprint(i))), journal.OK)
		save(t, j, w, w.Place, fmt.Sprint("state ", i))
	}
	j = e.Reopen(t, j)
	got, err := j.Load(context.Background())
	if err != nil || len(got) != 1 || string(got[0].Body) != "state 8" {
		t.Fatalf("loaded %+v, %v", got, err)
	}
	same(t, Bodies(t, j, 0, 8), "8") // above the older Keep
}

func largeEntry(t *testing.T, e Engine) {
	j := e.Open(t, 2)
	w, other := &Writer{Log: 0}, &Writer{Log: 1}
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 9<<20/16))
	want(t, Append(t, j, other.Next("before"), w.Next(large), other.Next("behind"), w.Next("small")),
		journal.OK, journal.OK, journal.OK, journal.OK)
	for range 2 {
		same(t, Bodies(t, j, 0, 0), large, "small")
		same(t, Bodies(t, j, 1, 0), "before", "behind")
		j = e.Reopen(t, j)
	}
}

func manyWriters(t *testing.T, e Engine) {
	const logs, each = 8, 300
	j := e.Open(t, logs)
	var all sync.WaitGroup
	for log := range uint16(logs) {
		all.Add(each)
		go func() {
			w, seen := &Writer{Log: log}, 0
			for i := range each {
				entry := w.Next(fmt.Sprintf("%d-%d-%s", log, i, bytes.Repeat([]byte("x"), i*7)))
				j.Append([]journal.Entry{entry}, func(o []journal.Outcome) {
					if o[0] != journal.OK || seen != i {
						t.Errorf("log %d entry %d: outcome %v as number %d", log, i, o[0], seen)
					}
					seen++
					all.Done()
				})
			}
		}()
	}
	all.Wait()
	j = e.Reopen(t, j)
	for log := range uint16(logs) {
		if got := Bodies(t, j, log, 0); len(got) != each || got[each-1][:4] != fmt.Sprintf("%d-%d", log, each-1)[:4] {
			t.Errorf("log %d: read %d entries, want %d", log, len(got), each)
		}
	}
}

func closed(t *testing.T, e Engine) {
	j := e.Open(t, 1)
	w := &Writer{}
	entry := w.Next("1")
	want(t, Append(t, j, entry), journal.OK)
	if err := j.Close(); err != nil && !errors.Is(err, journal.ErrBroken) {
		t.Fatal(err)
	}
	want(t, Append(t, j, w.Next("2")), journal.Broken)
	want(t, Append(t, j, w.Next("3"), w.Next("4")), journal.Broken, journal.Broken)
	want(t, Append(t, j)) // told even so
}

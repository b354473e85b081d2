package journaltest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"milena/storage/journal"
)

const (
	walkLogs  = 4
	walkSteps = 120
)

// walk does to a journal whatever may be done to it, in any order, and compares
// it with what was done after every step.
type walk struct {
	t       *testing.T
	engine  Engine
	journal journal.Journal
	random  *rand.Rand
	logs    [walkLogs]walkLog
	saved   []journal.Snapshot // by the newest Save
}

// walkLog is what a log has to hold.
type walkLog struct {
	writer      Writer
	bodies      []string // from place 1 on
	last        journal.Entry
	keep, older uint64 // of the newest two Saves
}

func randomWalks(t *testing.T, e Engine) {
	seeds, steps := uint64(3), walkSteps
	if testing.Short() {
		seeds, steps = 1, walkSteps/3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := &walk{t: t, engine: e, journal: e.Open(t, walkLogs), random: rand.New(rand.NewPCG(seed, 7))}
			for log := range w.logs {
				w.logs[log].writer.Log = uint16(log)
			}
			for range steps {
				switch n := w.random.IntN(20); {
				case n < 12:
					w.append()
				case n < 14:
					w.repeat()
				case n < 16:
					w.skip()
				case n < 18:
					w.save()
				default:
					w.journal = e.Reopen(t, w.journal)
				}
				w.compare(w.random.IntN(walkLogs))
			}
			for log := range walkLogs {
				w.compare(log)
			}
		})
	}
}

// body is short, now and then long.
func (w *walk) body() string {
	size := w.random.IntN(200)
	switch w.random.IntN(10) {
	case 0:
		size = w.random.IntN(40_000)
	case 1:
		size = 0
	}
	return strings.Repeat(string(rune('a'+w.random.IntN(26))), size)
}

// append appends to several logs at once.
func (w *walk) append() {
	var entries []journal.Entry
	var outcomes []journal.Outcome
	for range 1 + w.random.IntN(6) {
		l := &w.logs[w.random.IntN(walkLogs)]
		body := w.body()
		l.last = l.writer.Next(body)
		l.bodies = append(l.bodies, body)
		entries, outcomes = append(entries, l.last), append(outcomes, journal.OK)
	}
	want(w.t, Append(w.t, w.journal, entries...), outcomes...)
}

// repeat sends a log's last entry again, as who heard nothing does.
func (w *walk) repeat() {
	if l := &w.logs[w.random.IntN(walkLogs)]; len(l.bodies) > 0 {
		want(w.t, Append(w.t, w.journal, l.last), journal.OK)
	}
}

// skip appends behind an entry that nobody wrote.
func (w *walk) skip() {
	writer := w.logs[w.random.IntN(walkLogs)].writer // a copy
	writer.Next("never sent")
	want(w.t, Append(w.t, w.journal, writer.Next("behind it")), journal.Taken)
}

// save saves every log that has something, and lets go of some more of it.
func (w *walk) save() {
	w.saved = nil
	for log := range w.logs {
		l := &w.logs[log]
		if len(l.bodies) == 0 {
			continue
		}
		l.older = l.keep
		l.keep += w.random.Uint64N(l.writer.Place - l.keep + 1)
		w.saved = append(w.saved, journal.Snapshot{Log: uint16(log), Place: l.writer.Place, Token: l.writer.Token, Keep: l.keep, Body: []byte(w.body())})
	}
	if err := w.journal.Save(context.Background(), w.saved); err != nil {
		w.t.Fatal(err)
	}
}

func sameSnapshot(a, b journal.Snapshot) bool {
	return a.Log == b.Log && a.Place == b.Place && a.Token == b.Token && a.Keep == b.Keep && bytes.Equal(a.Body, b.Body)
}

// compare reads the snapshots, and a log from some place on.
func (w *walk) compare(log int) {
	w.t.Helper()
	got, err := w.journal.Load(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.EqualFunc(got, w.saved, sameSnapshot) {
		w.t.Fatalf("loaded %d snapshots, not the %d that were saved", len(got), len(w.saved))
	}
	l := &w.logs[log]
	above := l.older + w.random.Uint64N(l.writer.Place-l.older+1)
	same(w.t, Bodies(w.t, w.journal, uint16(log), above), l.bodies[above:]...)
}

// Package memory is the journal of a throw-away instance, and of tests: it
// keeps entries in memory and is durable as long as the process lives.
//
// What holds always: outcomes come from one goroutine, under no lock of the
// caller's, in order. It never touches a disk.
package memory

import (
	"context"
	"iter"
	"slices"
	"sync"

	"milena/storage/journal"
)

const (
	window    = 4096
	entryMax  = 256 << 20
	saveBytes = 64 << 20 // since the last Save; then Wants says so
)

// Journal keeps entries in memory.
type Journal struct {
	mu     sync.Mutex
	work   sync.Cond
	queue  []call
	closed bool
	ended  chan struct{}

	logs      map[uint16]*log
	snapshots []journal.Snapshot
	keeps     []map[uint16]uint64 // of the last two Saves
	since     int64
	wants     chan struct{}
	stats     journal.Stats
}

type call struct {
	entries []journal.Entry
	done    func([]journal.Outcome)
}

type log struct {
	first   uint64 // place of entries[0]
	entries []journal.Entry
}

// New makes an empty journal.
func New() *Journal {
	j := &Journal{logs: make(map[uint16]*log), wants: make(chan struct{}, 1), ended: make(chan struct{})}
	j.work.L = &j.mu
	go j.run()
	return j
}

// Append is part of journal.Journal.
func (j *Journal) Append(entries []journal.Entry, done func([]journal.Outcome)) {
	j.mu.Lock()
	closed := j.closed
	if !closed {
		j.queue = append(j.queue, call{slices.Clone(entries), done})
	}
	j.mu.Unlock()
	if closed {
		go j.refuse(len(entries), done)
		return
	}
	j.work.Signal()
}

// refuse answers what came after Close, behind all that came before.
func (j *Journal) refuse(n int, done func([]journal.Outcome)) {
	<-j.ended
	done(slices.Repeat([]journal.Outcome{journal.Broken}, n))
}

func (j *Journal) run() {
	defer close(j.ended)
	var outcomes []journal.Outcome
	for {
		j.mu.Lock()
		for len(j.queue) == 0 && !j.closed {
			j.work.Wait()
		}
		if len(j.queue) == 0 {
			j.mu.Unlock()
			return
		}
		calls := j.queue
		j.queue = nil
		var told [][]journal.Outcome
		for _, c := range calls {
			outcomes = nil
			for _, e := range c.entries {
				outcomes = append(outcomes, j.take(e))
			}
			told = append(told, outcomes)
		}
		j.mu.Unlock()
		for i, c := range calls {
			c.done(told[i])
		}
	}
}

func (j *Journal) take(e journal.Entry) journal.Outcome {
	l := j.logs[e.Log]
	if l == nil {
		l = &log{first: 1}
		j.logs[e.Log] = l
	}
	next := l.first + uint64(len(l.entries))
	if e.Place < next {
		if e.Place >= l.first && l.entries[e.Place-l.first].Token == e.Token {
			return journal.OK
		}
		return journal.Taken
	}
	var last journal.Token
	if len(l.entries) > 0 {
		last = l.entries[len(l.entries)-1].Token
	}
	if e.Place != next || e.Prev != last || e.Token == 0 {
		return journal.Taken
	}
	var body []byte
	for _, piece := range e.Body {
		body = append(body, piece...)
	}
	e.Body = [][]byte{body}
	l.entries = append(l.entries, e)
	j.stats.Entries++
	j.stats.Bytes += uint64(len(body))
	if j.since += int64(len(body)); j.since >= saveBytes {
		select {
		case j.wants <- struct{}{}:
		default:
		}
	}
	return journal.OK
}

// Read is part of journal.Journal.
func (j *Journal) Read(ctx context.Context, after []journal.Cursor) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for _, c := range after {
			j.mu.Lock()
			var entries []journal.Entry
			if l := j.logs[c.Log]; l != nil && c.Place+1 < l.first+uint64(len(l.entries)) {
				entries = slices.Clone(l.entries[max(c.Place+1, l.first)-l.first:])
			}
			j.mu.Unlock()
			for _, e := range entries {
				if err := ctx.Err(); err != nil {
					yield(journal.Entry{}, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Save is part of journal.Journal.
func (j *Journal) Save(_ context.Context, snapshots []journal.Snapshot) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	keep := make(map[uint16]uint64)
	for _, s := range snapshots {
		keep[s.Log] = s.Keep
	}
	j.snapshots, j.since = slices.Clone(snapshots), 0
	j.keeps = append(j.keeps, keep)
	if len(j.keeps) < 2 {
		return nil
	}
	j.keeps = j.keeps[len(j.keeps)-2:]
	for id, l := range j.logs {
		for len(l.entries) > 1 && l.first <= j.keeps[0][id] {
			l.entries[0] = journal.Entry{}
			l.first, l.entries = l.first+1, l.entries[1:]
		}
	}
	return nil
}

// Load is part of journal.Journal.
func (j *Journal) Load(context.Context) ([]journal.Snapshot, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.snapshots), nil
}

// Wants is part of journal.Journal.
func (j *Journal) Wants() <-chan struct{} { return j.wants }

// Limits is part of journal.Journal.
func (j *Journal) Limits() journal.Limits {
	return journal.Limits{Entry: entryMax, Window: window, Alone: true}
}

// Stats is part of journal.Journal.
func (j *Journal) Stats() journal.Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Queued = uint64(len(j.queue))
	return s
}

// Close is part of journal.Journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.work.Signal()
	<-j.ended
	return nil
}

// Reopen gives the journal as a new process would find it, for tests: what was
// told OK is there.
func (j *Journal) Reopen() *Journal {
	j.Close()
	again := New()
	again.logs, again.snapshots, again.keeps = j.logs, j.snapshots, j.keeps
	return again
}

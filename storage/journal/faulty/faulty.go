package faulty

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"

	"milena/storage/journal"
)

// Fault is what is done to one entry. The zero Fault does nothing.
type Fault struct {
	Outcome   journal.Outcome // OK: what the engine says
	Stored    bool            // with Unknown: it is stored all the same
	Strangers [][]byte        // bodies of another writer's entries that take the place first
}

// Journal is an engine with faults in front of it.
type Journal struct {
	engine journal.Journal
	window int

	mu     sync.Mutex
	work   sync.Cond // run waits here for calls
	back   sync.Cond // and here for the disk to answer again
	steer  func(journal.Entry) Fault
	queue  []call
	hangs  bool
	broken bool
	closed bool
	ended  chan struct{}

	// doubtful is, of each log, the entries that are Unknown: what stands behind
	// one of them is Unknown too, until the first is sent again. It belongs to run.
	doubtful map[uint16]map[journal.Token]bool
}

type call struct {
	entries []journal.Entry
	done    func([]journal.Outcome)
}

// Wrap puts faults in front of an engine; it closes it with itself.
func Wrap(engine journal.Journal) *Journal {
	j := &Journal{
		engine: engine, window: engine.Limits().Window,
		ended: make(chan struct{}), doubtful: make(map[uint16]map[journal.Token]bool),
	}
	j.work.L, j.back.L = &j.mu, &j.mu
	go j.run()
	return j
}

// Steer asks for a fault for every entry from now on, in the order in which they
// were appended, one at a time. nil: no more faults.
func (j *Journal) Steer(fault func(journal.Entry) Fault) {
	j.mu.Lock()
	j.steer = fault
	j.mu.Unlock()
}

// Hang keeps every outcome back from now on; Resume lets them out.
func (j *Journal) Hang() {
	j.mu.Lock()
	j.hangs = true
	j.mu.Unlock()
}

// Resume lets out what Hang kept back.
func (j *Journal) Resume() {
	j.mu.Lock()
	j.hangs = false
	j.mu.Unlock()
	j.back.Broadcast()
}

// SetWindow makes the window smaller than the engine's. Call it before use.
func (j *Journal) SetWindow(entries int) { j.window = entries }

// Engine is what stands behind the faults.
func (j *Journal) Engine() journal.Journal { return j.engine }

// Append is part of journal.Journal.
func (j *Journal) Append(entries []journal.Entry, done func([]journal.Outcome)) {
	j.mu.Lock()
	closed := j.closed
	if !closed {
		j.queue = append(j.queue, call{append([]journal.Entry(nil), entries...), done})
	}
	j.mu.Unlock()
	if closed {
		j.engine.Append(entries, done) // it knows what a closed engine says
		return
	}
	j.work.Signal()
}

// run takes one entry after the other to the engine, and tells each call.
func (j *Journal) run() {
	defer close(j.ended)
	for {
		j.mu.Lock()
		for len(j.queue) == 0 && !j.closed {
			j.work.Wait()
		}
		if len(j.queue) == 0 {
			j.mu.Unlock()
			return
		}
		c := j.queue[0]
		j.queue = j.queue[1:]
		j.mu.Unlock()

		outcomes := make([]journal.Outcome, len(c.entries))
		for i, e := range c.entries {
			outcomes[i] = j.take(e)
		}
		j.mu.Lock()
		for j.hangs {
			j.back.Wait()
		}
		j.mu.Unlock()
		c.done(outcomes)
	}
}

// take does to an entry what the test wants, and says what its writer hears.
func (j *Journal) take(e journal.Entry) journal.Outcome {
	j.mu.Lock()
	steer, broken := j.steer, j.broken
	j.mu.Unlock()
	if broken {
		return journal.Broken
	}
	var f Fault
	if steer != nil {
		f = steer(e)
	}
	if f.Outcome == journal.Broken {
		j.mu.Lock()
		j.broken = true
		j.mu.Unlock()
		return journal.Broken
	}
	j.strangers(e, f.Strangers)
	if !j.doubtful[e.Log][e.Prev] {
		delete(j.doubtful, e.Log)
		if f.Outcome == journal.OK {
			return j.store(e)
		}
	}
	if f.Stored {
		j.store(e)
	}
	if f.Outcome == journal.Taken {
		return journal.Taken
	}
	j.doubt(e)
	return journal.Unknown
}

// doubt remembers an entry that is Unknown.
func (j *Journal) doubt(e journal.Entry) {
	if j.doubtful[e.Log] == nil {
		j.doubtful[e.Log] = make(map[journal.Token]bool)
	}
	j.doubtful[e.Log][e.Token] = true
}

// store puts an entry into the engine, and waits.
func (j *Journal) store(e journal.Entry) journal.Outcome {
	told := make(chan journal.Outcome, 1)
	j.engine.Append([]journal.Entry{e}, func(o []journal.Outcome) { told <- o[0] })
	return <-told
}

// strangers puts another writer's entries where an entry wants to go.
func (j *Journal) strangers(e journal.Entry, bodies [][]byte) {
	at := journal.Entry{Log: e.Log, Place: e.Place, Prev: e.Prev}
	for _, body := range bodies {
		at.Token, at.Body = journal.Token(rand.Uint64()|1), [][]byte{body}
		if j.store(at) != journal.OK {
			return // something is there already: that is what the entry will hear
		}
		at.Place, at.Prev = at.Place+1, at.Token
	}
}

// Save is part of journal.Journal.
func (j *Journal) Save(ctx context.Context, snapshots []journal.Snapshot) error {
	j.mu.Lock()
	broken := j.broken
	j.mu.Unlock()
	if broken {
		return fmt.Errorf("save: %w", journal.ErrBroken)
	}
	return j.engine.Save(ctx, snapshots)
}

// Limits is part of journal.Journal.
func (j *Journal) Limits() journal.Limits {
	l := j.engine.Limits()
	l.Window, l.Alone = j.window, false
	return l
}

// Close lets out what is kept back, and closes the engine.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.Resume()
	j.work.Signal()
	<-j.ended
	return j.engine.Close()
}

// Read is part of journal.Journal.
func (j *Journal) Read(ctx context.Context, after []journal.Cursor) iter.Seq2[journal.Entry, error] {
	return j.engine.Read(ctx, after)
}

// Load is part of journal.Journal.
func (j *Journal) Load(ctx context.Context) ([]journal.Snapshot, error) { return j.engine.Load(ctx) }

// Wants is part of journal.Journal.
func (j *Journal) Wants() <-chan struct{} { return j.engine.Wants() }

// Stats is part of journal.Journal.
func (j *Journal) Stats() journal.Stats { return j.engine.Stats() }

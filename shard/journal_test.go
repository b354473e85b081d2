package shard

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"milena/storage/journal"
)

// scripted is a journal whose outcomes a test decides. It keeps what it
// stored, and answers from one goroutine, in order.
type scripted struct {
	mu        sync.Mutex
	entries   map[uint16][]journal.Entry
	outcome   func(journal.Entry) journal.Outcome
	snapshots []journal.Snapshot
	queue     chan func()
	stopped   chan struct{}
	sent      []journal.Entry
}

func newScripted() *scripted {
	j := &scripted{
		entries: make(map[uint16][]journal.Entry),
		queue:   make(chan func(), 1<<16),
		stopped: make(chan struct{}),
	}
	go func() {
		defer close(j.stopped)
		for step := range j.queue {
			step()
		}
	}()
	return j
}

func (j *scripted) Append(entries []journal.Entry, done func([]journal.Outcome)) {
	for _, e := range entries {
		e.Body = [][]byte{join(append([][]byte{nil}, e.Body...))}
		j.queue <- func() { done([]journal.Outcome{j.take(e)}) }
	}
}

func (j *scripted) take(e journal.Entry) journal.Outcome {
	j.mu.Lock()
	outcome := j.outcome
	j.sent = append(j.sent, e)
	j.mu.Unlock()
	told := journal.OK
	if outcome != nil {
		told = outcome(e)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if told == journal.OK || told == journal.Unknown {
		if !j.store(e) {
			told = journal.Taken
		}
	}
	return told
}

func (j *scripted) store(e journal.Entry) bool {
	log := j.entries[e.Log]
	if e.Place <= uint64(len(log)) {
		return log[e.Place-1].Token == e.Token
	}
	var last journal.Token
	if len(log) > 0 {
		last = log[len(log)-1].Token
	}
	if e.Place != uint64(len(log))+1 || e.Prev != last {
		return false
	}
	j.entries[e.Log] = append(log, e)
	return true
}

// stranger puts another writer's entry at a log's end.
func (j *scripted) stranger(log uint16, body string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries[log] = append(j.entries[log], journal.Entry{
		Log: log, Place: uint64(len(j.entries[log])) + 1, Token: newToken(), Body: [][]byte{[]byte(body)},
	})
}

func (j *scripted) Read(_ context.Context, after []journal.Cursor) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for _, cursor := range after {
			j.mu.Lock()
			log := append([]journal.Entry(nil), j.entries[cursor.Log]...)
			j.mu.Unlock()
			for _, e := range log[min(cursor.Place, uint64(len(log))):] {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (j *scripted) Save(_ context.Context, snapshots []journal.Snapshot) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.snapshots = snapshots
	return nil
}

func (j *scripted) Load(context.Context) ([]journal.Snapshot, error) { return j.snapshots, nil }
func (j *scripted) Wants() <-chan struct{}                           { return nil }
func (j *scripted) Limits() journal.Limits                           { return journal.Limits{Entry: 1 << 20, Window: 4} }
func (j *scripted) Stats() journal.Stats                             { return journal.Stats{} }

func (j *scripted) Close() error {
	close(j.queue)
	<-j.stopped
	return nil
}

// words is a state that remembers the entries' bodies in order.
type words struct {
	said  []string
	ahead int // decided and not durable
	drops int
}

func (w *words) Load(body []byte) error {
	w.said = nil
	for _, b := range body {
		w.said = append(w.said, string(b))
	}
	return nil
}

func (w *words) Replay(_ uint64, body []byte, known bool) error {
	if !known {
		w.said = append(w.said, string(body))
	}
	return nil
}

func (w *words) Freeze() func() []byte {
	said := append([]string(nil), w.said...)
	return func() []byte {
		var body []byte
		for _, s := range said {
			body = append(body, s[0])
		}
		return body
	}
}

func (w *words) Drop() { w.ahead, w.drops = 0, w.drops+1 }

// say is a command that appends one word.
type say struct {
	log      *Log
	state    *words
	word     string
	decided  int
	answered chan error
}

func newSay(l *Log, s *words, word string) *say {
	return &say{log: l, state: s, word: word, answered: make(chan error, 8)}
}

func (s *say) decide() {
	s.decided++
	s.state.ahead++
	s.log.Append([][]byte{[]byte(s.word)}, s)
}

func (s *say) Apply(uint64) {
	s.state.said = append(s.state.said, s.word)
	s.state.ahead--
}

func (s *say) Again()           { s.decide() }
func (s *say) Answer(err error) { s.answered <- err }

func (s *say) do() *say {
	s.log.Lock()
	s.decide()
	s.log.Unlock()
	return s
}

// ask only reads, and waits for what it has read to be durable.
type ask struct{ answered chan error }

func (a *ask) Apply(uint64)     { panic("a question is never applied") }
func (a *ask) Again()           { a.answered <- fmt.Errorf("asked again") }
func (a *ask) Answer(err error) { a.answered <- err }

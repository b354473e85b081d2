package shard

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"milena/storage/journal"
	"milena/storage/journal/faulty"
	"milena/storage/journal/memory"
)

// oneLog is a log over a journal that a test steers.
func oneLog(t *testing.T) (*faulty.Journal, *words, *Log) {
	t.Helper()
	j := faulty.Wrap(memory.New())
	j.SetWindow(4)
	t.Cleanup(func() { j.Close() })
	state := &words{}
	return j, state, NewSet(j, []State{state}).Log(0)
}

// stored is what the journal holds.
func stored(t *testing.T, j journal.Journal) string {
	t.Helper()
	var bodies []string
	for e, err := range j.Read(context.Background(), []journal.Cursor{{Log: 0}}) {
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(join(e.Body)))
	}
	return strings.Join(bodies, " ")
}

// lost is an entry of which nobody knows that it is not there.
func lost() faulty.Fault { return faulty.Fault{Outcome: journal.Unknown} }

// strangers take an entry's place.
func strangers(words ...string) faulty.Fault {
	var f faulty.Fault
	for _, w := range words {
		f.Strangers = append(f.Strangers, []byte(w))
	}
	return f
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

package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"milena/storage/journal"
)

// ErrBroken is what every command hears from a log that takes nothing more.
var ErrBroken = errors.New("log is out of service")

// unknownBackoff is how long a log waits before it sends again what the
// journal could not vouch for.
const unknownBackoff = 5 * time.Millisecond

// State is what a log's entries add up to. All calls come under the log's lock.
type State interface {
	// Load replaces the state by a snapshot's body.
	Load(body []byte) error
	// Replay applies an entry that was read back. known: a loaded snapshot has
	// its effect already, and only bytes that did not settle yet are missing.
	Replay(place uint64, body []byte, known bool) error
	// Freeze copies what a snapshot needs; what it returns encodes the copy and
	// is called under no lock.
	Freeze() (encode func() []byte)
	// Drop forgets what runs ahead of the durable state.
	Drop()
}

// Command is a decision on its way into the log.
type Command interface {
	// Apply makes it part of the state. Under the lock.
	Apply(place uint64)
	// Again decides anew, because another writer took the place: it calls
	// Append or Behind, or answers by itself later. Under the lock.
	Again()
	// Answer lets the answer out: nil, or why not. Under no lock; it must be quick.
	Answer(err error)
}

// Log runs the rule over one journal log. Lock it to decide.
type Log struct {
	sync.Mutex
	id      uint16
	journal journal.Journal
	window  int
	state   State
	done    func([]journal.Outcome) // settled, bound once

	place   uint64        // of the newest entry that was decided
	token   journal.Token // of that entry
	durable uint64        // newest place applied
	applied journal.Token // its token

	pending []pending // decided, not durable, in order; a Behind stands after its place
	sent    int       // how many of pending's entries were handed to the journal
	flying  int       // how many of those have no outcome yet

	trouble journal.Outcome // the first outcome that was not OK; OK when all is well
	redo    []Command       // decided while another writer's entries are read
	broken  error
	scratch [1]journal.Entry
}

type pending struct {
	command Command
	place   uint64
	body    [][]byte // nil: a Behind
	prev    journal.Token
	token   journal.Token
}

func newLog(id uint16, j journal.Journal, state State) *Log {
	l := &Log{id: id, journal: j, window: max(j.Limits().Window, 1), state: state}
	l.done = l.settled
	return l
}

// ID is the log's number in the journal.
func (l *Log) ID() uint16 { return l.id }

// Durable is the newest place that is applied. Call it under the lock.
func (l *Log) Durable() uint64 { return l.durable }

// Broken says why the log takes nothing more; nil when it does. Under the lock.
func (l *Log) Broken() error { return l.broken }

// Idle says that nothing is under way. Under the lock.
func (l *Log) Idle() bool { return len(l.pending) == 0 && len(l.redo) == 0 }

// Append puts a command's entry at the next place. Call it under the lock, in
// the same hold in which it was decided. The body must not change until the
// command is answered.
func (l *Log) Append(body [][]byte, c Command) {
	switch {
	case l.broken != nil:
		go c.Answer(l.broken)
	case l.trouble == journal.Taken:
		l.redo = append(l.redo, c)
	default:
		token := newToken()
		l.place++
		l.pending = append(l.pending, pending{command: c, place: l.place, body: body, prev: l.token, token: token})
		l.token = token
		l.send()
	}
}

// Behind answers the command once everything decided so far is durable. False:
// all is durable already, and the caller answers it after unlocking. Call it
// under the lock.
func (l *Log) Behind(c Command) bool {
	switch {
	case l.broken != nil:
		go c.Answer(l.broken)
	case l.trouble == journal.Taken:
		l.redo = append(l.redo, c)
	case len(l.pending) == 0:
		return false
	default:
		l.pending = append(l.pending, pending{command: c, place: l.place})
	}
	return true
}

// send hands what is decided to the journal, as far as its window goes.
func (l *Log) send() {
	if l.trouble != journal.OK {
		return
	}
	for ; l.sent < len(l.pending) && l.flying < l.window; l.sent++ {
		p := &l.pending[l.sent]
		if p.body == nil {
			continue
		}
		l.flying++
		l.scratch[0] = journal.Entry{Log: l.id, Place: p.place, Prev: p.prev, Token: p.token, Body: p.body}
		l.journal.Append(l.scratch[:], l.done)
	}
	l.scratch[0] = journal.Entry{}
}

// settled hears from the journal, in order of place.
func (l *Log) settled(outcomes []journal.Outcome) {
	var answers [8]Command
	ready := answers[:0]
	var failed []Command

	l.Lock()
	for _, outcome := range outcomes {
		l.flying--
		switch {
		case l.trouble != journal.OK: // of what came after the first failure nothing counts
		case outcome != journal.OK:
			l.trouble = outcome
		default:
			ready = l.advance(ready)
		}
	}
	switch {
	case l.trouble == journal.OK:
		l.send()
	case l.trouble == journal.Broken:
		failed = l.breakDown(fmt.Errorf("%w: the journal took no more", ErrBroken))
	case l.flying == 0:
		go l.recoverFrom(l.trouble)
	}
	broken := l.broken
	l.Unlock()

	for _, c := range ready {
		c.Answer(nil)
	}
	for _, c := range failed {
		c.Answer(broken)
	}
}

// advance applies the oldest entry and collects who may be answered now.
func (l *Log) advance(ready []Command) []Command {
	head := l.pending[0]
	if head.place != l.durable+1 || head.body == nil {
		panic(fmt.Sprintf("log %d: place %d became durable after %d", l.id, head.place, l.durable))
	}
	l.durable, l.applied = head.place, head.token
	head.command.Apply(head.place)
	ready = append(ready, head.command)
	n := 1
	for ; n < len(l.pending) && l.pending[n].body == nil; n++ {
		ready = append(ready, l.pending[n].command)
	}
	clear(l.pending[:n])
	l.pending = l.pending[n:]
	if len(l.pending) == 0 && cap(l.pending) <= 1024 {
		l.pending = l.pending[:0]
	}
	l.sent -= min(n, l.sent)
	return ready
}

// breakDown puts the log out of service and gives who must hear of it.
func (l *Log) breakDown(why error) []Command {
	l.broken = why
	var failed []Command
	for _, p := range l.pending {
		failed = append(failed, p.command)
	}
	failed = append(failed, l.redo...)
	l.pending, l.redo, l.sent = nil, nil, 0
	return failed
}

// Fail puts the log out of service.
func (l *Log) Fail(why error) {
	l.Lock()
	failed := l.breakDown(fmt.Errorf("%w: %w", ErrBroken, why))
	broken := l.broken
	l.Unlock()
	for _, c := range failed {
		c.Answer(broken)
	}
}

func newToken() journal.Token {
	for {
		if t := journal.Token(rand.Uint64()); t != 0 {
			return t
		}
	}
}

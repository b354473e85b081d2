package coordinator

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/group/classic"
	"milena/shard/fact"
)

// A command walks through here once:
//
//	ask     into the group's mailbox, and wait for the answer
//	step    decide, one command after the other
//	record  what was decided, if it has facts, goes into the log
//	apply   when the log says: durable
//	act     answers go out, and the mailbox goes on

// group runs one group's machine. One entry is under way at a time; what comes
// meanwhile waits in the mailbox.
type group struct {
	shard *groupShard
	id    string

	mu      sync.Mutex // a leaf below the log's lock
	machine *classic.Group
	mailbox []command
	tickets []machine.Ticket // of the mailbox, in its order
	busy    bool             // somebody empties the mailbox
	waiting map[machine.Ticket]chan machine.Reply
	last    machine.Ticket
	timer   *time.Timer
	gone    bool // dropped: look the group up again
}

// command is what a caller asks of a machine.
type command = func(m *classic.Group, now time.Time, to machine.Ticket) machine.Decision

func (one *group) ask(ctx context.Context, c command) (any, error) {
	answered := make(chan machine.Reply, 1)
	one.mu.Lock()
	if one.gone {
		one.mu.Unlock()
		return nil, kerr.NotCoordinator
	}
	one.last++
	ticket := one.last
	one.waiting[ticket] = answered
	one.put(c, ticket)
	one.mu.Unlock()
	select {
	case r := <-answered:
		if p, fell := r.Err.(panicked); fell {
			panic(p)
		}
		return r.Value, r.Err
	case <-ctx.Done():
		one.abandon(ticket)
		// Who still hears it is told by a broker that stops, and looks for another.
		return nil, fmt.Errorf("%w: %w", kerr.NotCoordinator, ctx.Err())
	case <-one.shard.groups.stopped:
		one.abandon(ticket)
		return nil, kerr.NotCoordinator
	}
}

func (one *group) abandon(ticket machine.Ticket) {
	one.mu.Lock()
	defer one.mu.Unlock()
	delete(one.waiting, ticket)
	one.machine.Abandon(ticket)
}

// put adds to the mailbox, and sees to it that somebody empties it. Under one.mu.
func (one *group) put(c command, ticket machine.Ticket) {
	one.mailbox = append(one.mailbox, c)
	one.tickets = append(one.tickets, ticket)
	if !one.busy {
		one.busy = true
		one.step()
	}
}

// step decides what waits until a decision has to be recorded, or nothing
// waits. Under one.mu; it may let go of it.
func (one *group) step() {
	for len(one.mailbox) > 0 {
		c, ticket := one.mailbox[0], one.tickets[0]
		one.mailbox, one.tickets = one.mailbox[1:], one.tickets[1:]
		d := one.decide(c, ticket)
		if one.gone {
			return
		}
		if len(d.Record) > 0 {
			go one.record(d)
			return
		}
		one.act(d.Then)
	}
	one.busy = false
	one.arm()
	one.leaveIfVacant()
}

// decide runs one command. If it panics, the group is out of service until the
// next start, and the panic goes on where it was asked: it costs that one
// connection, for no lock stays behind. Under one.mu.
func (one *group) decide(c command, ticket machine.Ticket) machine.Decision {
	defer func() {
		if ticket == 0 {
			return // the group's own: nobody could be told
		}
		if p := recover(); p != nil {
			asked := one.waiting[ticket]
			delete(one.waiting, ticket)
			one.fail()
			if asked != nil {
				asked <- machine.Reply{Err: panicked{p, debug.Stack()}}
			}
		}
	}()
	return c(one.machine, one.shard.groups.o.Now(), ticket)
}

// panicked is a panic on its way to who asked.
type panicked struct {
	what  any
	stack []byte
}

func (p panicked) Error() string { return fmt.Sprintf("%v\n%s", p.what, p.stack) }

// record makes a decision's facts durable, then lets its actions out.
func (one *group) record(d machine.Decision) {
	e := &groupEntry{group: one, decision: d}
	l := one.shard.log
	l.Lock()
	if broken := l.Broken(); broken != nil {
		l.Unlock()
		e.Answer(broken)
		return
	}
	l.Append([][]byte{fact.AppendGroup(nil, d.Record)}, e)
	l.Unlock()
}

// groupEntry is a decision on its way into the log.
type groupEntry struct {
	group    *group
	decision machine.Decision
}

// Apply makes the facts part of the group. Under the log's lock.
func (e *groupEntry) Apply(uint64) {
	e.group.mu.Lock()
	for _, f := range e.decision.Record {
		e.group.machine.Apply(f)
	}
	e.group.mu.Unlock()
}

// Again: another coordinator wrote, so this one is no more.
func (e *groupEntry) Again() { go e.Answer(errors.New("another coordinator has the log")) }

// Answer lets the actions out, and goes on with the mailbox.
func (e *groupEntry) Answer(err error) {
	one := e.group
	one.mu.Lock()
	defer one.mu.Unlock()
	if err != nil {
		one.fail()
		return
	}
	one.act(e.decision.Then)
	one.step()
}

// act answers tickets. Under one.mu.
func (one *group) act(actions []machine.Action) {
	for _, a := range actions {
		r := a.(machine.Reply)
		if c := one.waiting[r.To]; c != nil {
			delete(one.waiting, r.To)
			c <- r
		}
	}
}

// fail drops a group whose log takes nothing more: what it decided did not
// happen. Under one.mu.
func (one *group) fail() {
	one.gone = true
	for ticket, c := range one.waiting {
		delete(one.waiting, ticket)
		c <- machine.Reply{Err: kerr.NotCoordinator}
	}
	if one.timer != nil {
		one.timer.Stop()
	}
}

// arm sets the timer to the machine's next deadline. Under one.mu.
func (one *group) arm() {
	at := one.machine.Deadline()
	if at.IsZero() || one.gone {
		if one.timer != nil {
			one.timer.Stop()
		}
		return
	}
	in := max(at.Sub(one.shard.groups.o.Now()), 0)
	if one.timer == nil {
		one.timer = time.AfterFunc(in, one.tick)
		return
	}
	one.timer.Reset(in)
}

func (one *group) tick() {
	select {
	case <-one.shard.groups.stopped:
		return
	default:
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.put(func(m *classic.Group, now time.Time, _ machine.Ticket) machine.Decision { return m.Tick(now) }, 0)
}

// leaveIfVacant forgets a group of which nothing is left. Under one.mu.
func (one *group) leaveIfVacant() {
	if one.machine.Vacant() && one.machine.Describe().State == classic.Dead && len(one.waiting) == 0 {
		go one.shard.forget(one)
	}
}

// Package machine holds what Kafka's rules share: the words in which a pure
// state machine answers.
//
// A machine takes time and commands and gives a Decision. It has no clock, no
// lock, no goroutine and does no I/O; who runs it makes the facts durable,
// applies them, and only then lets the actions out. It never knows which
// engine that is.
package machine

// Ticket names a request that waits for an answer.
type Ticket uint64

// Fact is something that has happened and is to be remembered. Facts carry
// effects, not commands: applying one decides nothing and reads no clock.
type Fact any

// Action is something to be done once the facts are durable.
type Action any

// Reply answers a ticket: with Value, or with an error of Kafka's.
type Reply struct {
	To    Ticket
	Value any
	Err   error
}

// Decision is what a machine answers to a command or a tick.
type Decision struct {
	Record []Fact
	Then   []Action
}

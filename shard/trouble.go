package shard

import (
	"context"
	"fmt"
	"time"

	"milena/storage/journal"
)

// recoverFrom goes on after an entry that was not OK, when nothing is in
// flight any more:
//
//	Unknown  the same entries again, with the same tokens, and nothing else
//	Taken    read and apply what is there, then decide again in the first order
func (l *Log) recoverFrom(trouble journal.Outcome) {
	if trouble == journal.Unknown {
		time.Sleep(unknownBackoff)
		l.Lock()
		l.trouble, l.sent = journal.OK, 0
		l.send()
		l.Unlock()
		return
	}
	if err := l.readOthers(); err != nil {
		l.Fail(err)
	}
}

// readOthers applies what stands in the log above the durable place: another
// writer's entries, and perhaps the first of our own.
func (l *Log) readOthers() error {
	l.Lock()
	after := []journal.Cursor{{Log: l.id, Place: l.durable}}
	l.Unlock()

	var ready []Command
	for entry, err := range l.journal.Read(context.Background(), after) {
		if err != nil {
			return fmt.Errorf("read log %d above %d: %w", l.id, after[0].Place, err)
		}
		l.Lock()
		if len(l.pending) > 0 && l.pending[0].token == entry.Token {
			ready = l.advance(ready)
		} else {
			l.pending, l.redo = nil, append(commandsOf(l.pending), l.redo...)
			l.state.Drop()
			if err = l.state.Replay(entry.Place, join(entry.Body), false); err == nil {
				l.durable, l.applied = entry.Place, entry.Token
			}
		}
		l.Unlock()
		if err != nil {
			return fmt.Errorf("log %d place %d: %w", l.id, entry.Place, err)
		}
	}

	l.Lock()
	again := append(commandsOf(l.pending), l.redo...)
	l.pending, l.redo, l.sent = nil, nil, 0
	l.state.Drop()
	l.place, l.token = l.durable, l.applied
	l.trouble = journal.OK
	for _, c := range again {
		c.Again()
	}
	l.Unlock()

	for _, c := range ready {
		c.Answer(nil)
	}
	return nil
}

func commandsOf(waiting []pending) []Command {
	var commands []Command
	for _, p := range waiting {
		commands = append(commands, p.command)
	}
	return commands
}

func join(pieces [][]byte) []byte {
	if len(pieces) == 1 {
		return pieces[0]
	}
	var whole []byte
	for _, p := range pieces {
		whole = append(whole, p...)
	}
	return whole
}

package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"milena/storage/journal"
	"milena/storage/segment"
)

// Set is all logs of an instance, numbered from 0.
type Set struct {
	journal journal.Journal
	logs    []*Log

	saving sync.Mutex // one checkpoint at a time
	saved  []uint64   // places of the last Save, guarded by saving

	checkpoints checkpoints
}

// checkpoints counts them, for Stats.
type checkpoints struct {
	running atomic.Bool
	total   atomic.Uint64
	nanos   atomic.Uint64
}

// Stats of a set since it was made.
type Stats struct {
	Checkpoints     uint64 // that were saved
	CheckpointNanos uint64 // spent in them
	Checkpointing   bool   // one runs now
}

// Stats tells of the checkpoints.
func (s *Set) Stats() Stats {
	c := &s.checkpoints
	return Stats{Checkpoints: c.total.Load(), CheckpointNanos: c.nanos.Load(), Checkpointing: c.running.Load()}
}

// NewSet makes a log for each state, in order of number.
func NewSet(j journal.Journal, states []State) *Set {
	s := &Set{journal: j, saved: make([]uint64, len(states))}
	for i, state := range states {
		s.logs = append(s.logs, newLog(uint16(i), j, state))
	}
	return s
}

// Log gives a log by its number.
func (s *Set) Log(id int) *Log { return s.logs[id] }

// Recover brings every state to where the journal ends:
//
//	1 load   the newest snapshots that verify
//	2 replay one pass over the entries above what they keep
//
// Logs that the journal's damage hit are out of service afterwards, readable
// as far as they go; if any is, the error is a *journal.Damaged and the rest
// runs.
func (s *Set) Recover(ctx context.Context) error {
	snapshots, err := s.journal.Load(ctx)
	if err != nil {
		return fmt.Errorf("load snapshots: %w", err)
	}
	after := make([]journal.Cursor, len(s.logs))
	for i := range after {
		after[i].Log = uint16(i)
	}
	for _, snapshot := range snapshots {
		if int(snapshot.Log) >= len(s.logs) {
			return fmt.Errorf("snapshot of log %d, but this instance has %d logs", snapshot.Log, len(s.logs))
		}
		l := s.logs[snapshot.Log]
		l.Lock()
		err := l.state.Load(snapshot.Body)
		l.durable, l.applied = snapshot.Place, snapshot.Token
		l.Unlock()
		if err != nil {
			return fmt.Errorf("snapshot of log %d at %d: %w", snapshot.Log, snapshot.Place, err)
		}
		after[snapshot.Log].Place = snapshot.Keep
		s.saved[snapshot.Log] = snapshot.Place
	}
	if err := s.replay(ctx, after); err != nil {
		return err
	}
	return nil
}

func (s *Set) replay(ctx context.Context, after []journal.Cursor) error {
	var damaged *journal.Damaged
	for entry, err := range s.journal.Read(ctx, after) {
		if errors.As(err, &damaged) {
			break
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		if int(entry.Log) >= len(s.logs) {
			return fmt.Errorf("entry of log %d, but this instance has %d logs", entry.Log, len(s.logs))
		}
		l := s.logs[entry.Log]
		l.Lock()
		known := entry.Place <= l.durable
		if !known && entry.Place != l.durable+1 {
			l.Unlock()
			return fmt.Errorf("log %d jumps from place %d to %d", entry.Log, l.durable, entry.Place)
		}
		err = l.state.Replay(entry.Place, join(entry.Body), known)
		if !known {
			l.durable, l.applied = entry.Place, entry.Token
		}
		l.Unlock()
		if err != nil {
			return fmt.Errorf("log %d place %d: %w", entry.Log, entry.Place, err)
		}
	}
	for _, l := range s.logs {
		l.Lock()
		l.place, l.token = l.durable, l.applied
		l.Unlock()
	}
	if damaged == nil {
		return nil
	}
	for _, hit := range damaged.Logs {
		if int(hit.Log) < len(s.logs) {
			s.logs[hit.Log].Fail(damaged)
		}
	}
	return damaged
}

// Checkpoint saves all states in one go, so that the journal's older files can
// be used again:
//
//	1 note    each log's durable place k
//	2 settle  up to it, and make what settled durable (the caller's)
//	3 copy    each state under its log's lock
//	4 save    all of them, with Keep = k
func (s *Set) Checkpoint(ctx context.Context, settle func(context.Context) error) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	began := time.Now()
	s.checkpoints.running.Store(true)
	defer s.checkpoints.running.Store(false)

	keep := make([]uint64, len(s.logs))
	for i, l := range s.logs {
		l.Lock()
		keep[i] = l.durable
		l.Unlock()
	}
	if err := settle(ctx); err != nil {
		return fmt.Errorf("checkpoint: settle: %w", err)
	}
	snapshots := make([]journal.Snapshot, len(s.logs))
	for i, l := range s.logs {
		l.Lock()
		encode := l.state.Freeze()
		snapshots[i] = journal.Snapshot{Log: l.id, Place: l.durable, Token: l.applied, Keep: keep[i]}
		l.Unlock()
		snapshots[i].Body = encode()
	}
	if err := s.journal.Save(ctx, snapshots); err != nil {
		return fmt.Errorf("checkpoint: save: %w", err)
	}
	for i := range snapshots {
		s.saved[i] = snapshots[i].Place
	}
	s.checkpoints.nanos.Add(uint64(time.Since(began)))
	s.checkpoints.total.Add(1)
	return nil
}

// Changed says that an entry became durable since the last checkpoint.
func (s *Set) Changed() bool {
	s.saving.Lock()
	defer s.saving.Unlock()
	for i, l := range s.logs {
		l.Lock()
		changed := l.durable != s.saved[i]
		l.Unlock()
		if changed {
			return true
		}
	}
	return false
}

// noRoomRetry is when a checkpoint that found no room on the disk is tried again.
const noRoomRetry = time.Second

// Run checkpoints when the journal wants it, and every so often while anything
// changes, until ctx ends. When the disk has no room it tries again; it stops at
// the first other error, and gives it.
func (s *Set) Run(ctx context.Context, every time.Duration, settle func(context.Context) error) error {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.journal.Wants():
		case <-timer.C:
			if !s.Changed() {
				timer.Reset(every)
				continue
			}
		}
		switch err := s.Checkpoint(ctx, settle); {
		case err == nil:
			timer.Reset(every)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrNoRoom), errors.Is(err, segment.ErrNoRoom):
			timer.Reset(noRoomRetry)
		default:
			return err
		}
	}
}

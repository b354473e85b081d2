package file

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"

	"milena/storage/journal"
)

// What damage stopped is given up in this order; a crash in between leaves it
// stopped, or given up:
//
//	2 Saves  remember which logs are stopped, make room, and move what damage hit
//	         to lost/, but for the newest file
//	Turn     begins a file whose head says that the stopped logs had more
//	Save     moves the newest of the old ones too
//	GiveUp   lets each stopped log go on above all that heads and rows name
//	Save     remembers it
//
// Old rows of such a log lie at or below the place that its snapshot has from
// then on, so nothing ever reads them as new ones.

// Files is part of journal.Repairable.
func (j *Journal) Files() []journal.FileState {
	j.mu.Lock()
	defer j.mu.Unlock()
	var files []journal.FileState
	for i, l := range j.old {
		f := journal.FileState{Name: l.name, Bytes: l.size, State: "whole", Aside: j.isEvidence(l, j.after(i))}
		switch why := j.hurt[l.name]; {
		case why != "":
			f.State = "damaged: " + why
		case f.Aside:
			f.State = "whole, but a damaged log goes on in it behind its last readable place"
		}
		files = append(files, f)
	}
	for _, lost := range j.lostHead {
		files = append(files, journal.FileState{Name: lost.name, Bytes: lost.size, State: "damaged: its head is lost", Aside: true})
	}
	return append(files, j.filesAside()...)
}

// after is the life behind an old one; behind the newest, what its head would
// say. Under the lock.
func (j *Journal) after(i int) *life {
	switch {
	case i+1 < len(j.old):
		return j.old[i+1]
	case j.cur != nil:
		return j.cur
	}
	return &life{head: head{ends: j.written}}
}

// filesAside are those that lie in lost/ already.
func (j *Journal) filesAside() []journal.FileState {
	lost := path.Join(j.dir, lostDir)
	names, err := j.fs.List(lost)
	if err != nil {
		return nil // nothing ever was
	}
	var files []journal.FileState
	for _, name := range names {
		f := journal.FileState{Name: path.Join(lost, name), State: "set aside before"}
		if info, err := j.fs.Stat(f.Name); err == nil {
			f.Bytes = info.Size
		}
		files = append(files, f)
	}
	return files
}

// Turn is part of journal.Repairable. The first file after a start is begun for
// whatever is appended first, and be it nothing.
func (j *Journal) Turn(ctx context.Context) error {
	begun := make(chan struct{})
	j.Append(nil, func([]journal.Outcome) { close(begun) })
	select {
	case <-begun:
	case <-ctx.Done():
		return fmt.Errorf("begin a journal file: %w", context.Cause(ctx))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// GiveUp is part of journal.Repairable.
func (j *Journal) GiveUp() []journal.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var given []journal.Entry
	for log := range j.logs {
		end := &j.logs[log]
		if !end.stopped {
			continue
		}
		at := position{
			place: max(end.place, end.until, j.written[log].place) + 1,
			token: journal.Token(rand.Uint64() | 1), // zero is no token
		}
		*end = logEnd{}
		j.setEnd(log, at)
		j.written[log] = at
		given = append(given, journal.Entry{Log: uint16(log), Place: at.place, Token: at.token})
	}
	return given
}

var _ journal.Repairable = (*Journal)(nil)

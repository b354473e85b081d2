package server

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/file"
	journalmemory "milena/storage/journal/memory"
	"milena/storage/segment"
	"milena/storage/segment/dir"
	segmentmemory "milena/storage/segment/memory"
)

// engines are the two seams, filled. This file is the one place that picks them.
type engines struct {
	journal journal.Journal
	store   segment.Store
}

// engineOptions is what the engines need to know.
type engineOptions struct {
	Memory bool
	OS     bool // durability=os
	Logs   int
	Bytes  int64 // of the journal's files; 0: the engine's own
	NoRoom func(bool)
	Broken func(error)
	Now    func() time.Time
	Log    *slog.Logger
}

const (
	journalDir = "journal"
	topicsDir  = "topics"
)

func openEngines(fs disk.FS, o engineOptions) (engines, error) {
	if o.Memory {
		return engines{journal: journalmemory.New(), store: segmentmemory.NewAt(o.Now)}, nil
	}
	j, err := file.Open(fs, journalDir, file.Options{
		Logs:         o.Logs,
		FileBytes:    o.Bytes,
		OSDurability: o.OS,
		NoRoom:       o.NoRoom,
		Broken:       o.Broken,
		Log:          o.Log,
	})
	if err != nil {
		return engines{}, fmt.Errorf("open %s: %w", path.Clean(journalDir), err)
	}
	store, err := dir.Open(fs, topicsDir, dir.Options{Now: o.Now})
	if err != nil {
		return engines{}, errors.Join(fmt.Errorf("open %s: %w", topicsDir, err), j.Close())
	}
	return engines{journal: j, store: store}, nil
}

func (e engines) close() error { return errors.Join(e.store.Close(), e.journal.Close()) }

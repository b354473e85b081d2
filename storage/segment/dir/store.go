package dir

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"milena/storage/disk"
	"milena/storage/segment"
)

// Options of a store. Zero values mean the defaults.
type Options struct {
	OpenFiles  int   // at once
	IndexEvery int64 // bytes of batches between two index entries
	SaveIndex  int64 // bytes that an active segment grows by before its index is written
	Log        *slog.Logger
	Now        func() time.Time
}

const (
	openFilesMax = 1000
	indexEvery   = 16 << 10
	nameMax      = 200
	writeback    = 256 << 10 // bytes behind which write-back is started
	removedDir   = "removed"
)

// Store keeps segments in a directory.
type Store struct {
	fs  disk.FS
	dir string
	o   Options

	mu    sync.Mutex
	parts map[key]*part
	dirty map[*seg]bool // written since they were synced last

	files   files
	remover remover
	moved   atomic.Uint64 // names given in removed/ since Open

	settledBytes, syncs, syncNanos, segments atomic.Uint64
	stored                                   atomic.Int64
}

type key struct {
	id    [16]byte
	index int32
}

// Open opens a store. Nothing is walked but what was to be removed.
func Open(fs disk.FS, dir string, o Options) (*Store, error) {
	if o.OpenFiles == 0 {
		o.OpenFiles = openFilesMax
	}
	if o.IndexEvery == 0 {
		o.IndexEvery = indexEvery
	}
	if o.SaveIndex == 0 {
		o.SaveIndex = saveBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	// What is dropped is moved aside first, also on a disk that is full by then.
	if err := fs.MakeDir(path.Join(dir, removedDir)); err != nil {
		return nil, err
	}
	s := &Store{fs: fs, dir: dir, o: o, parts: make(map[key]*part), dirty: make(map[*seg]bool)}
	s.files.limit = o.OpenFiles
	s.remover.start(fs, path.Join(dir, removedDir), o.Log)
	return s, nil
}

// part finds a partition, or makes it known.
func (s *Store) part(p segment.Partition) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{p.ID, p.Index}
	found := s.parts[k]
	if found == nil {
		name := p.Topic[:min(len(p.Topic), nameMax)]
		found = &part{store: s, Partition: p, dir: path.Join(s.dir, name+"-"+hex.EncodeToString(p.ID[:]), fmt.Sprint(p.Index))}
		s.parts[k] = found
	}
	return found
}

// Settle is part of segment.Store.
func (s *Store) Settle(_ context.Context, p segment.Partition, batches []segment.Batch) error {
	return s.part(p).settle(batches)
}

// Sync syncs what is dirty, one file after the other.
func (s *Store) Sync(ctx context.Context) ([]segment.Settled, error) {
	s.mu.Lock()
	dirty := make(map[*part][]*seg)
	for g := range s.dirty {
		dirty[g.part] = append(dirty[g.part], g)
	}
	s.mu.Unlock()
	var settled []segment.Settled
	for p, segs := range dirty {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, there, err := p.sync(segs)
		if err != nil {
			return nil, err
		}
		if there {
			settled = append(settled, one)
		}
	}
	return settled, nil
}

func (s *Store) markDirty(g *seg) {
	s.mu.Lock()
	s.dirty[g] = true
	s.mu.Unlock()
}

func (s *Store) markClean(g *seg) {
	s.mu.Lock()
	delete(s.dirty, g)
	s.mu.Unlock()
}

// Read is part of segment.Store.
func (s *Store) Read(_ context.Context, p segment.Partition, from, upTo int64, max int) (segment.Span, error) {
	return s.part(p).read(from, upTo, max)
}

// Restore is part of segment.Store. The files are looked at when they are
// needed first.
func (s *Store) Restore(_ context.Context, at segment.Settled) error {
	s.part(at.Partition).restore(at)
	return nil
}

// Find is part of segment.Store.
func (s *Store) Find(_ context.Context, p segment.Partition, from, time int64) (segment.Found, bool, error) {
	return s.part(p).find(from, time)
}

// Segments is part of segment.Store.
func (s *Store) Segments(p segment.Partition) []segment.Info { return s.part(p).list() }

// Seal is part of segment.Store.
func (s *Store) Seal(_ context.Context, p segment.Partition) error { return s.part(p).seal() }

// Forget is part of segment.Store.
func (s *Store) Forget(_ context.Context, p segment.Partition, below int64) error {
	return s.part(p).forget(below)
}

// Drop is part of segment.Store.
func (s *Store) Drop(_ context.Context, p segment.Partition) error {
	part := s.part(p)
	s.mu.Lock()
	delete(s.parts, key{p.ID, p.Index})
	s.mu.Unlock()
	return part.drop()
}

// aside moves a file or a directory to removed/, under a name of its own.
func (s *Store) aside(name string) (string, error) {
	to := path.Join(s.dir, removedDir)
	if err := s.fs.MakeDir(to); err != nil {
		return "", err
	}
	for {
		free := path.Join(to, fmt.Sprintf("%d-%s", s.moved.Add(1), path.Base(name)))
		switch _, err := s.fs.Stat(free); {
		case errors.Is(err, disk.ErrNotExist):
			return free, s.fs.Rename(name, free)
		case err != nil:
			return "", err
		}
	}
}

// Stats is part of segment.Store.
func (s *Store) Stats() segment.Stats {
	return segment.Stats{
		SettledBytes: s.settledBytes.Load(),
		Segments:     s.segments.Load(),
		OpenFiles:    uint64(s.files.count()),
		Syncs:        s.syncs.Load(),
		SyncNanos:    s.syncNanos.Load(),
		StoredBytes:  uint64(max(s.stored.Load(), 0)),
	}
}

// Close syncs nothing: what is above the settled point the journal has.
func (s *Store) Close() error {
	s.remover.stop()
	return errors.Join(s.files.closeAll())
}

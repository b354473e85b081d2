package disk

import (
	"fmt"
	"io"
	"sync"
)

// Call is one call of an engine on its way to the disk.
type Call struct {
	Number int    // counts from 1
	Op     string // open, makedir, list, stat, remove, rename, syncdir, read, write, truncate, sync
	Name   string
	At     int64 // of reads, writes and truncates
	Bytes  int   // of reads and writes
}

// Faulty puts a hook in front of every call. An error from the hook is the
// call's, and the call is not made; the hook may wait, or take a Crash first.
type Faulty struct {
	FS
	mu    sync.Mutex
	count int
	Hook  func(Call) error // set before use
}

// NewFaulty wraps a disk.
func NewFaulty(fs FS, hook func(Call) error) *Faulty { return &Faulty{FS: fs, Hook: hook} }

// Calls is how many were made so far.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

func (f *Faulty) before(op, name string) error { return f.call(Call{Op: op, Name: name}) }

func (f *Faulty) call(c Call) error {
	f.mu.Lock()
	f.count++
	c.Number = f.count
	f.mu.Unlock()
	err := f.Hook(c)
	switch {
	case err != nil && (c.Op == "sync" || c.Op == "syncdir"):
		return fmt.Errorf("%s %s: %w", c.Op, c.Name, unsynced(err))
	case err != nil:
		return fmt.Errorf("%s %s: %w", c.Op, c.Name, mapped(err))
	}
	return nil
}

func (f *Faulty) Open(name string, flag Flag) (File, error) {
	if err := f.before("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, disk: f, name: name}, nil
}

func (f *Faulty) MakeDir(name string) error {
	if err := f.before("makedir", name); err != nil {
		return err
	}
	return f.FS.MakeDir(name)
}

func (f *Faulty) Remove(name string) error {
	if err := f.before("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *Faulty) Rename(from, to string) error {
	if err := f.before("rename", from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *Faulty) SyncDir(dir string) error {
	if err := f.before("syncdir", dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

func (f *Faulty) List(dir string) ([]string, error) {
	if err := f.before("list", dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

func (f *Faulty) Stat(name string) (Info, error) {
	if err := f.before("stat", name); err != nil {
		return Info{}, err
	}
	return f.FS.Stat(name)
}

func (f *Faulty) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

type faultyFile struct {
	File
	disk *Faulty
	name string
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.disk.call(Call{Op: "read", Name: f.name, At: at, Bytes: len(b)}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.disk.call(Call{Op: "write", Name: f.name, At: at, Bytes: len(b)}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) WriteVec(bufs [][]byte, at int64) error {
	c := Call{Op: "write", Name: f.name, At: at}
	for _, b := range bufs {
		c.Bytes += len(b)
	}
	if err := f.disk.call(c); err != nil {
		return err
	}
	return f.File.WriteVec(bufs, at)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.call(Call{Op: "truncate", Name: f.name, At: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Datasync() error {
	if err := f.disk.before("sync", f.name); err != nil {
		return err
	}
	return f.File.Datasync()
}

func (f *faultyFile) Sync() error {
	if err := f.disk.before("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

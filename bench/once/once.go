//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/file"
)

const (
	factBytes = 100      // a fact that points at a batch
	growBytes = 64 << 20 // by which a file is allocated
)

// once is the segments, then a fact in the journal.
type once struct {
	j      *file.Journal
	root   string
	direct bool
	parts  []oncePart
	ctx    context.Context
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu     sync.Mutex
	failed error
}

type oncePart struct {
	mu sync.Mutex // batches of a partition follow each other
	chain
	file      *os.File
	number    int
	at        int64  // bytes of batches in the file
	allocated int64  // bytes of the file that the file system set aside
	buffer    []byte // aligned: the last, half full block, then the batch
	fact      [factBytes]byte
}

func openOnce(fs disk.FS, j *file.Journal, partitions, batch int, direct bool) (*once, error) {
	root, err := os.MkdirTemp("", "once-segments")
	if err != nil {
		return nil, err
	}
	w := &once{j: j, root: root, direct: direct, parts: make([]oncePart, partitions)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	for i := range w.parts {
		w.parts[i].log = uint16(i)
		w.parts[i].buffer = aligned(batch + 2*disk.Align)
	}
	w.ended.Go(w.checkpoints)
	return w, nil
}

func aligned(n int) []byte {
	raw := make([]byte, n+disk.Align)
	skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (disk.Align - 1)
	return raw[skip : skip+n]
}

func (w *once) write(p int, batch []byte, done func(error)) {
	part := &w.parts[p]
	part.mu.Lock()
	err := w.place(p, part, batch)
	if err != nil {
		part.mu.Unlock()
		done(err)
		return
	}
	e := part.chain.next([][]byte{part.fact[:]})
	part.mu.Unlock()
	w.j.Append([]journal.Entry{e}, func(o []journal.Outcome) { done(told(o)) })
}

// place makes a batch durable in its partition's file.
func (w *once) place(p int, part *oncePart, batch []byte) error {
	if err := w.roll(p, part, len(batch)); err != nil {
		return err
	}
	if err := part.grow(len(batch)); err != nil {
		return err
	}
	if !w.direct {
		if _, err := part.file.WriteAt(batch, part.at); err != nil {
			return err
		}
		part.at += int64(len(batch))
		return unix.Fdatasync(int(part.file.Fd()))
	}
	rest := int(part.at % disk.Align)
	n := rest + copy(part.buffer[rest:], batch)
	whole := (n + disk.Align - 1) / disk.Align * disk.Align
	clear(part.buffer[n:whole])
	if _, err := part.file.WriteAt(part.buffer[:whole], part.at-int64(rest)); err != nil {
		return err
	}
	part.at += int64(len(batch))
	copy(part.buffer, part.buffer[n/disk.Align*disk.Align:n]) // the last, half full block
	return unix.Fdatasync(int(part.file.Fd()))
}

// roll begins a new file when the old one is full, and removes the one that is
// too much.
func (w *once) roll(p int, part *oncePart, batch int) error {
	if part.file != nil && part.at+int64(batch) <= segmentBytes {
		return nil
	}
	if part.file != nil {
		part.file.Close()
		kept := keptBytes / segmentBytes / len(w.parts)
		os.Remove(w.name(p, part.number-kept)) //nolint:errcheck // there may be none yet
	}
	flag := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if w.direct {
		flag |= unix.O_DIRECT
	}
	part.number++
	f, err := os.OpenFile(w.name(p, part.number), flag, 0o600)
	part.file, part.at, part.allocated = f, 0, 0
	return err
}

func (w *once) name(p, number int) string { return fmt.Sprintf("%s/%d-%d", w.root, p, number) }

// grow allocates the file's next piece, so that a write changes no length.
func (p *oncePart) grow(batch int) error {
	if p.at+int64(batch)+disk.Align <= p.allocated {
		return nil
	}
	if err := unix.Fallocate(int(p.file.Fd()), 0, p.allocated, growBytes); err != nil {
		return err
	}
	p.allocated += growBytes
	return nil
}

func (w *once) checkpoints() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.j.Wants():
		}
		var saved []journal.Snapshot
		for i := range w.parts {
			p := &w.parts[i]
			p.mu.Lock()
			if p.place > 1 {
				saved = append(saved, journal.Snapshot{Log: p.log, Place: p.place - 1, Token: journal.Token(p.place - 1), Keep: p.place - 1})
			}
			p.mu.Unlock()
		}
		if err := w.j.Save(w.ctx, saved); err != nil && w.ctx.Err() == nil {
			w.mu.Lock()
			w.failed = err
			w.mu.Unlock()
			return
		}
	}
}

func (w *once) close() error {
	w.stop()
	w.ended.Wait()
	for i := range w.parts {
		if f := w.parts[i].file; f != nil {
			f.Close()
		}
	}
	os.RemoveAll(w.root) //nolint:errcheck // a temporary directory
	return w.failed
}

package dir

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"milena/storage/disk"
)

var errDropped = errors.New("segment is removed")

// handle is a segment's place in the files; guarded by files.mu.
type handle struct {
	open   *openFile
	gone   bool
	unused func() // called once nobody reads it any more
	lost   error  // a sync failed: what was written may be gone, and no later sync tells
}

// openFile is an open segment file. It is closed when it has to make room, or
// when its segment goes, but never while somebody reads it or while it holds
// bytes that were not synced.
type openFile struct {
	files *files
	seg   *seg
	file  disk.File
	refs  int
	dirty bool
	place *list.Element
	index atomic.Pointer[index] // a sealed segment's, while the file is open
}

// files are the open ones, the one used last in front. There are as many as the
// limit says, and what readers hold at the moment beyond it.
type files struct {
	mu    sync.Mutex
	limit int
	used  list.List
}

func (f *files) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used.Len()
}

// take opens a segment's file, or finds it open, and holds it until release.
func (f *files) take(g *seg) (*openFile, error) {
	if o, err := f.hold(g); o != nil || err != nil {
		return o, err
	}
	file, err := g.part.store.fs.Open(g.name(".log"), disk.Write)
	if err != nil {
		return nil, err
	}
	return f.add(g, file)
}

// takeToWrite is take for who writes: first there is room among the open files,
// and what was lost is never written again.
func (f *files) takeToWrite(g *seg) (*openFile, error) {
	if err := f.makeRoomForDirty(g); err != nil {
		return nil, err
	}
	o, err := f.take(g)
	if err != nil {
		return nil, err
	}
	if err := o.wrote(); err != nil { // before the write too, so that it is not closed
		o.release()
		return nil, err
	}
	return o, nil
}

// create makes a new segment's file. It is empty, whatever was there.
func (f *files) create(g *seg) error {
	if err := f.makeRoomForDirty(g); err != nil {
		return err
	}
	file, err := g.part.store.fs.Open(g.name(".log"), disk.Write|disk.Create)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return errors.Join(err, file.Close())
	}
	o, err := f.add(g, file)
	if err == nil {
		o.release()
	}
	return err
}

// hold finds a segment's file open.
func (f *files) hold(g *seg) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g.handle.gone {
		return nil, errDropped
	}
	o := g.handle.open
	if o != nil {
		f.used.MoveToFront(o.place)
		o.refs++
	}
	return o, nil
}

// add makes a file the segment's open one, unless somebody was faster.
func (f *files) add(g *seg, file disk.File) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g.handle.gone {
		return nil, errors.Join(errDropped, file.Close())
	}
	o := g.handle.open
	if o == nil {
		o = &openFile{files: f, seg: g, file: file}
		o.place = f.used.PushFront(o)
		g.handle.open = o
	} else if err := file.Close(); err != nil {
		return nil, err
	}
	o.refs++
	f.makeRoom()
	return o, nil
}

// makeRoom closes files that nobody needs now, the longest unused first.
func (f *files) makeRoom() {
	for e := f.used.Back(); e != nil && f.used.Len() > f.limit; {
		o := e.Value.(*openFile)
		e = e.Prev()
		if o.refs == 0 && !o.dirty {
			f.shut(o)
		}
	}
}

// makeRoomForDirty syncs files that nobody uses until there is room for one
// more that is written, for a dirty one may not be closed.
func (f *files) makeRoomForDirty(g *seg) error {
	for {
		f.mu.Lock()
		if g.handle.open != nil || f.used.Len() < f.limit {
			f.mu.Unlock()
			return nil
		}
		o := f.idle()
		if o == nil {
			f.mu.Unlock()
			return nil // all are in use
		}
		if !o.dirty {
			f.shut(o)
			f.mu.Unlock()
			continue
		}
		o.refs++
		f.mu.Unlock()
		err := o.sync()
		o.release()
		if err != nil {
			return fmt.Errorf("sync %s to make room: %w", o.seg.name(".log"), err)
		}
	}
}

// idle gives the file that nobody uses the longest, clean ones first.
func (f *files) idle() (found *openFile) {
	for e := f.used.Back(); e != nil; e = e.Prev() {
		o := e.Value.(*openFile)
		if o.refs == 0 && !o.dirty {
			return o
		}
		if o.refs == 0 && found == nil && o.seg.handle.lost == nil {
			found = o
		}
	}
	return found
}

func (f *files) shut(o *openFile) {
	f.used.Remove(o.place)
	o.seg.handle.open = nil
	o.file.Close() // it is clean, or its segment is gone
}

// wrote says that the file holds bytes that are not synced.
func (o *openFile) wrote() error {
	o.files.mu.Lock()
	defer o.files.mu.Unlock()
	o.dirty = true
	return o.seg.handle.lost
}

// sync makes durable what was written so far. A failure stays: the system tells
// of it once, and drops what it could not write.
func (o *openFile) sync() error {
	f := o.files
	f.mu.Lock()
	lost := o.seg.handle.lost
	o.dirty = false // who writes from here on says so again
	f.mu.Unlock()
	if lost != nil {
		return lost
	}
	if err := o.file.Datasync(); err != nil {
		return o.lose(err)
	}
	return nil
}

// lose notes that what was written may be gone.
func (o *openFile) lose(err error) error {
	o.files.mu.Lock()
	defer o.files.mu.Unlock()
	o.dirty = true
	if o.seg.handle.lost == nil {
		o.seg.handle.lost = err
	}
	return err
}

func (o *openFile) release() {
	f := o.files
	f.mu.Lock()
	o.refs--
	var unused func()
	if o.refs == 0 && o.seg.handle.gone {
		f.shut(o)
		unused = o.seg.handle.unused
	} else if o.refs == 0 {
		f.makeRoom()
	}
	f.mu.Unlock()
	if unused != nil {
		unused()
	}
}

// whenUnused calls back once nobody reads the segment; nobody can take it any more.
func (f *files) whenUnused(g *seg, then func()) {
	f.mu.Lock()
	g.handle.gone, g.handle.unused = true, then
	o := g.handle.open
	busy := o != nil && o.refs > 0
	if o != nil && !busy {
		f.shut(o)
	}
	f.mu.Unlock()
	if !busy {
		then()
	}
}

func (f *files) closeAll() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for e := f.used.Front(); e != nil; e = e.Next() {
		o := e.Value.(*openFile)
		o.seg.handle.open = nil
		errs = append(errs, o.file.Close())
	}
	f.used.Init()
	return errors.Join(errs...)
}

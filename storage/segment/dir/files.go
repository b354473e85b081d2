package dir

import (
	"container/list"
	"errors"
	"sync"

	"milena/storage/disk"
)

var errDropped = errors.New("segment is removed")

// handle is a segment's place in the files; guarded by files.mu.
type handle struct {
	open   *openFile
	unused func() // called once nobody reads it any more
	gone   bool
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
}

// files are the open ones, the one used last in front.
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
func (f *files) take(g *seg, write bool) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g.handle.gone {
		return nil, errDropped
	}
	o := g.handle.open
	if o == nil {
		file, err := g.part.store.fs.Open(g.name(".log"), disk.Write)
		if err != nil {
			return nil, err
		}
		o = &openFile{files: f, seg: g, file: file}
		o.place = f.used.PushFront(o)
		g.handle.open = o
	} else {
		f.used.MoveToFront(o.place)
	}
	o.refs++
	o.dirty = o.dirty || write
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

func (f *files) shut(o *openFile) {
	f.used.Remove(o.place)
	o.seg.handle.open = nil
	o.file.Close()
}

// clean is called before a sync: what is written from then on makes it dirty
// again when it is taken.
func (o *openFile) clean() { o.setDirty(false) }

// soil says that the sync failed.
func (o *openFile) soil() { o.setDirty(true) }

func (o *openFile) setDirty(dirty bool) {
	o.files.mu.Lock()
	defer o.files.mu.Unlock()
	o.dirty = dirty
}

func (o *openFile) release() {
	f := o.files
	f.mu.Lock()
	o.refs--
	var unused func()
	if o.refs == 0 && o.seg.handle.gone {
		f.shut(o)
		unused = o.seg.handle.unused
	} else if o.refs == 0 && f.used.Len() > f.limit {
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

// drop lets a segment's file go when its last reader is done.
func (f *files) drop(g *seg) { f.whenUnused(g, func() {}) }

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

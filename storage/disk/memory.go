package disk

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
)

// Memory is a disk in memory that crashes at will: Crash gives what a real one
// might hold after the power failed.
//
// What survives surely: bytes behind Datasync or Sync of their file (or in a
// file opened with Direct), names behind SyncDir of their directory. Of the
// rest each block of 4 KiB, and each change of a name, by the seed's coin.
type Memory struct {
	mu    sync.Mutex
	names map[string]*inode // as the running process sees them; directories are nil
	safe  map[string]*inode // as they are on the disk
	order []change          // changes of names that are not durable yet, oldest first
	locks map[string]bool
	space Space
	size  int64 // bytes that all files may have; 0: no limit
}

type inode struct {
	data []byte
	safe []byte // durable bytes
}

// change is one change of names: one is made, removed, or takes the place of
// another. It is durable when dir is synced.
type change struct {
	dir  string
	name string
	node *inode
	kind changeKind
	from string // of a renamed one
}

type changeKind int

const (
	made changeKind = iota
	removed
	renamed
)

// apply makes a change to a tree of names.
func (c change) apply(names map[string]*inode) {
	switch c.kind {
	case removed:
		delete(names, c.name)
	case renamed:
		for name, node := range names {
			if inside(name, c.from) {
				delete(names, name)
				names[moved(name, c.from, c.name)] = node
			}
		}
		fallthrough
	default:
		names[c.name] = c.node
	}
}

// inside says that a name is a directory's, or in it.
func inside(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// moved is a name after what it is in was renamed.
func moved(name, from, to string) string { return to + strings.TrimPrefix(name, from) }

// memoryTotal is the size that a disk in memory claims.
const memoryTotal = 64 << 30

// NewMemory makes an empty disk.
func NewMemory() *Memory {
	return &Memory{
		names: make(map[string]*inode),
		safe:  make(map[string]*inode),
		locks: make(map[string]bool),
		space: Space{Free: memoryTotal, Total: memoryTotal},
	}
}

// SetSpace says what Space tells from now on.
func (m *Memory) SetSpace(s Space) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space = s
}

// SetSize says how many bytes all files may have from now on; 0: as many as
// they like. A write that does not fit writes what does, and fails.
func (m *Memory) SetSize(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size = bytes
}

// fits gives how much of a write of n bytes there is room for. Under mu.
func (m *Memory) fits(node *inode, at int64, n int) int {
	grows := at + int64(n) - int64(len(node.data))
	if m.size == 0 || grows <= 0 {
		return n
	}
	used := int64(0)
	for _, other := range m.names {
		if other != nil {
			used += int64(len(other.data))
		}
	}
	return int(max(int64(n)-max(grows-max(m.size-used, 0), 0), 0))
}

// Crash gives the disk after a power cut now, by the seed. This one goes on.
func (m *Memory) Crash(seed uint64) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	coin := rand.New(rand.NewPCG(seed, 0x6d696c656e61))
	after := NewMemory()
	after.size = m.size
	names := maps.Clone(m.safe)
	lost := make(map[string]bool) // directories in which a change was lost keep none after it
	for _, c := range m.order {
		from := path.Dir(c.from) // of a renamed one; a rename is lost as a whole
		if lost[c.dir] || c.kind == renamed && lost[from] || coin.IntN(2) == 0 {
			lost[c.dir] = true
			if c.kind == renamed {
				lost[from] = true
			}
			continue
		}
		c.apply(names)
	}
	seen := make(map[*inode]*inode)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := names[name]
		if node == nil {
			after.names[name] = nil
			continue
		}
		if seen[node] == nil {
			data := surviving(node, coin)
			seen[node] = &inode{data: data, safe: slices.Clone(data)}
		}
		after.names[name] = seen[node]
	}
	for _, name := range slices.Sorted(maps.Keys(after.names)) { // an entry whose directory is gone is gone
		if !after.hasDir(path.Dir(name)) {
			delete(after.names, name)
		}
	}
	after.safe = maps.Clone(after.names)
	return after
}

// surviving is what is left of a file: its durable bytes, and each changed
// block by the coin; a torn one now and then.
func surviving(node *inode, coin *rand.Rand) []byte {
	size := len(node.safe)
	if len(node.data) != size && coin.IntN(2) == 0 {
		size = len(node.data)
	}
	out := make([]byte, size)
	copy(out, node.safe)
	for at := 0; at < size && at < len(node.data); at += Align {
		end := min(at+Align, size, len(node.data))
		switch coin.IntN(8) {
		case 0, 1, 2:
		case 3: // torn
			end = at + coin.IntN(end-at+1)
			fallthrough
		default:
			copy(out[at:end], node.data[at:end])
		}
	}
	return out
}

func clean(name string) (string, error) {
	name = path.Clean(name)
	if name == ".." || strings.HasPrefix(name, "../") || path.IsAbs(name) {
		return "", fmt.Errorf("%s leads out of the root", name)
	}
	return name, nil
}

func (m *Memory) hasDir(name string) bool {
	node, ok := m.names[name]
	return name == "." || ok && node == nil
}

func (m *Memory) Open(name string, flag Flag) (File, error) {
	name, err := clean(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[name]
	switch {
	case ok && node == nil:
		return nil, fmt.Errorf("open %s: is a directory", name)
	case ok && flag&Exclusive != 0:
		return nil, fmt.Errorf("open %s: %w", name, ErrExist)
	case !ok && (flag&Create == 0 || !m.hasDir(path.Dir(name))):
		return nil, fmt.Errorf("open %s: %w", name, ErrNotExist)
	case !ok:
		node = &inode{}
		m.names[name] = node
		m.order = append(m.order, change{dir: path.Dir(name), name: name, node: node, kind: made})
	}
	return &memoryFile{disk: m, node: node, name: name, direct: flag&Direct != 0, writable: flag&Write != 0}, nil
}

func (m *Memory) MakeDir(name string) error {
	name, err := clean(name)
	if err != nil || name == "." {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var made string
	for _, part := range strings.Split(name, "/") {
		made = path.Join(made, part)
		if node, ok := m.names[made]; ok && node != nil {
			return fmt.Errorf("mkdir %s: %w", made, ErrExist)
		}
		m.names[made], m.safe[made] = nil, nil
	}
	return nil
}

func (m *Memory) List(dir string) ([]string, error) {
	dir, err := clean(dir)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.hasDir(dir) {
		return nil, fmt.Errorf("list %s: %w", dir, ErrNotExist)
	}
	var names []string
	for name := range m.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *Memory) Stat(name string) (Info, error) {
	name, err := clean(name)
	if err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[name]
	switch {
	case name == "." || ok && node == nil:
		return Info{IsDir: true}, nil
	case !ok:
		return Info{}, fmt.Errorf("stat %s: %w", name, ErrNotExist)
	}
	return Info{Size: int64(len(node.data))}, nil
}

func (m *Memory) Remove(name string) error {
	name, err := clean(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[name]
	if !ok {
		return fmt.Errorf("remove %s: %w", name, ErrNotExist)
	}
	if node == nil {
		for other := range m.names {
			if path.Dir(other) == name {
				return fmt.Errorf("remove %s: directory not empty", name)
			}
		}
	}
	delete(m.names, name)
	m.order = append(m.order, change{dir: path.Dir(name), name: name, node: node, kind: removed})
	return nil
}

func (m *Memory) Rename(from, to string) error {
	from, err := clean(from)
	if err != nil {
		return err
	}
	if to, err = clean(to); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[from]
	if !ok || !m.hasDir(path.Dir(to)) {
		return fmt.Errorf("rename %s to %s: %w", from, to, ErrNotExist)
	}
	if inside(to, from) {
		return fmt.Errorf("rename %s to %s: %w", from, to, ErrExist)
	}
	for i := range m.order { // what is not durable goes along
		if c := &m.order[i]; inside(c.dir, from) {
			c.dir, c.name = moved(c.dir, from, to), moved(c.name, from, to)
		}
	}
	c := change{dir: path.Dir(to), name: to, node: node, kind: renamed, from: from}
	c.apply(m.names)
	m.order = append(m.order, c)
	return nil
}

func (m *Memory) SyncDir(dir string) error {
	dir, err := clean(dir)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.hasDir(dir) {
		return fmt.Errorf("sync %s: %w", dir, ErrNotExist)
	}
	var left []change
	for _, c := range m.order {
		if c.dir == dir {
			c.apply(m.safe)
		} else {
			left = append(left, c)
		}
	}
	m.order = left
	return nil
}

func (m *Memory) Space() (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.space, nil
}

func (m *Memory) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fmt.Errorf("%w: %s", ErrLocked, name)
	}
	m.locks[name] = true
	return unlock(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, name)
	}), nil
}

type unlock func()

func (u unlock) Close() error { u(); return nil }

// memoryFile is an open file of a Memory.
type memoryFile struct {
	disk     *Memory
	node     *inode
	name     string
	direct   bool
	writable bool
}

func (f *memoryFile) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	if !f.writable {
		return 0, fmt.Errorf("write %s: opened for reading", f.name)
	}
	if f.direct && (at%Align != 0 || len(b)%Align != 0) {
		return 0, fmt.Errorf("write %s: %d bytes at %d are not aligned", f.name, len(b), at)
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := f.disk.fits(f.node, at, len(b))
	f.node.data = put(f.node.data, b[:n], at)
	if f.direct {
		f.node.safe = put(f.node.safe, b[:n], at)
	}
	if n < len(b) {
		return n, fmt.Errorf("write %s: %w", f.name, ErrNoSpace)
	}
	return n, nil
}

func put(data, b []byte, at int64) []byte {
	if end := at + int64(len(b)); end > int64(len(data)) {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[at:], b)
	return data
}

func (f *memoryFile) WriteVec(bufs [][]byte, at int64) error { return writeEach(f, bufs, at) }

func (f *memoryFile) Truncate(size int64) error {
	if !f.writable {
		return fmt.Errorf("truncate %s: opened for reading", f.name)
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if size <= int64(len(f.node.data)) {
		f.node.data = slices.Clone(f.node.data[:size])
	} else {
		f.node.data = append(f.node.data, make([]byte, size-int64(len(f.node.data)))...)
	}
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memoryFile) Datasync() error { return f.Sync() }

func (f *memoryFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.node.safe = slices.Clone(f.node.data)
	return nil
}

func (f *memoryFile) StartWriteback(int64, int64) error { return nil }
func (f *memoryFile) Descriptor() (uintptr, bool)       { return 0, false }
func (f *memoryFile) Close() error                      { return nil }

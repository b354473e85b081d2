package disk

import (
	"errors"
	"io"
)

// Errors that callers tell apart. They are wrapped, so ask with errors.Is.
var (
	ErrNotExist = errors.New("no such file")
	ErrExist    = errors.New("file exists")
	ErrNoSpace  = errors.New("no space left on the disk")
	ErrLocked   = errors.New("in use by another process")
	// ErrSync comes with whatever else a failed sync says, ErrNoSpace too: what
	// was written before may be gone, and a second sync would not tell.
	ErrSync = errors.New("what was written may not be on the disk")
)

// FS is the file calls that engines make. Names are slash-separated and
// relative to the root; none leaves it.
//
// What a call does is durable only after the sync that stands beside it: bytes
// after Datasync or Sync of their file (or at once in a file opened with
// Direct), names after SyncDir of their directory.
type FS interface {
	Open(name string, flag Flag) (File, error)
	MakeDir(name string) error // with its parents, and durable
	List(dir string) ([]string, error)
	Stat(name string) (Info, error)
	Remove(name string) error // a file or an empty directory
	Rename(from, to string) error
	SyncDir(dir string) error
	Space() (Space, error)
	// Lock holds the root for one process until it is closed or the process dies.
	Lock(name string) (io.Closer, error)
}

// Flag says how a file is opened. Every file can be read.
type Flag int

const (
	Write     Flag = 1 << iota // may be written
	Create                     // is made if it is not there
	Exclusive                  // with Create: must not be there
	Direct                     // O_DIRECT|O_DSYNC: aligned blocks, durable when the call returns
)

// Align is what offsets, lengths and addresses of Direct writes are multiples of.
const Align = 4096

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	WriteVec(bufs [][]byte, at int64) error // one pwritev, or as many as it takes
	Truncate(size int64) error
	Size() (int64, error)
	Datasync() error
	Sync() error
	// StartWriteback asks for these bytes to go to the disk soon and waits for nothing.
	StartWriteback(at, length int64) error
	// Descriptor is the file descriptor for sendfile; false where there is none.
	Descriptor() (fd uintptr, ok bool)
}

// Info is what Stat tells.
type Info struct {
	Size  int64
	IsDir bool
}

// Space is the room of the file system under the root, in bytes.
type Space struct {
	Free  uint64 // what an unprivileged process may still use
	Total uint64
}

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// osFS is a directory of the machine's disk.
type osFS struct {
	root string
	dir  *os.Root // names can't leave it
}

// OS gives the directory at root, which must exist.
func OS(root string) (FS, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, mapped(err)
	}
	return &osFS{root: root, dir: dir}, nil
}

// mapped gives an error the meaning that callers ask for.
func mapped(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrNotExist, err)
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w: %w", ErrExist, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func (f *osFS) Open(name string, flag Flag) (File, error) {
	mode := os.O_RDONLY
	if flag&Write != 0 {
		mode = os.O_RDWR
	}
	if flag&Create != 0 {
		mode |= os.O_CREATE
	}
	if flag&Exclusive != 0 {
		mode |= os.O_EXCL
	}
	if flag&Direct != 0 {
		mode |= directFlags
	}
	file, err := f.dir.OpenFile(local(name), mode, fileMode)
	if err != nil {
		return nil, mapped(err)
	}
	return &osFile{File: file, direct: flag&Direct != 0}, nil
}

// local turns a slash-separated name into the system's.
func local(name string) string { return filepath.FromSlash(path.Clean(name)) }

// MakeDir makes the missing parents, and each directory's entry durable.
func (f *osFS) MakeDir(name string) error {
	name, err := clean(name)
	if err != nil || name == "." {
		return err
	}
	if info, err := f.dir.Stat(local(name)); err == nil && info.IsDir() {
		return nil
	}
	if err := f.MakeDir(path.Dir(name)); err != nil {
		return err
	}
	if err := f.dir.Mkdir(local(name), dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return mapped(err)
	}
	return f.SyncDir(path.Dir(name))
}

func (f *osFS) List(dir string) ([]string, error) {
	d, err := f.dir.Open(local(dir))
	if err != nil {
		return nil, mapped(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return names, mapped(err)
}

func (f *osFS) Stat(name string) (Info, error) {
	info, err := f.dir.Stat(local(name))
	if err != nil {
		return Info{}, mapped(err)
	}
	return Info{Size: info.Size(), IsDir: info.IsDir()}, nil
}

func (f *osFS) Remove(name string) error { return mapped(f.dir.Remove(local(name))) }

func (f *osFS) Rename(from, to string) error {
	return mapped(f.dir.Rename(local(from), local(to)))
}

func (f *osFS) SyncDir(dir string) error {
	d, err := f.dir.Open(local(dir))
	if err != nil {
		return mapped(err)
	}
	return unsynced(errors.Join(d.Sync(), d.Close()))
}

// unsynced is mapped for the error of a sync.
func unsynced(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrSync, mapped(err))
}

func (f *osFS) Lock(name string) (io.Closer, error) {
	file, err := f.dir.OpenFile(local(name), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, mapped(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, strings.TrimSuffix(f.root, "/"))
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return file, nil
}

func (f *osFS) Space() (Space, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(f.root, &stat); err != nil {
		return Space{}, fmt.Errorf("statfs %s: %w", f.root, err)
	}
	return Space{Free: uint64(stat.Bavail) * uint64(stat.Bsize), Total: stat.Blocks * uint64(stat.Bsize)}, nil
}

// osFile is an open file of the machine's disk.
type osFile struct {
	*os.File
	direct bool
}

func (f *osFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	if err == nil && f.direct && !directIsDurable {
		err = f.File.Sync()
	}
	return n, mapped(err)
}

func (f *osFile) Truncate(size int64) error { return mapped(f.File.Truncate(size)) }
func (f *osFile) Sync() error               { return unsynced(f.File.Sync()) }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, mapped(err)
	}
	return info.Size(), nil
}

func (f *osFile) Descriptor() (uintptr, bool) { return f.Fd(), true }

// writeEach is WriteVec where the system has no pwritev.
func writeEach(f File, bufs [][]byte, at int64) error {
	for _, b := range bufs {
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	directFlags     = unix.O_DIRECT | unix.O_DSYNC
	directIsDurable = true
	vecMax          = 1024 // buffers of one pwritev
)

// Datasync makes the bytes durable, and the size if it changed.
func (f *osFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return unsynced(&os.PathError{Op: "fdatasync", Path: f.Name(), Err: err})
		}
		return nil
	}
}

func (f *osFile) StartWriteback(at, length int64) error {
	err := unix.SyncFileRange(int(f.Fd()), at, length, unix.SYNC_FILE_RANGE_WRITE)
	if err == unix.ENOSYS || err == unix.EINVAL || err == unix.ESPIPE {
		return nil // only a hint
	}
	if err != nil {
		return unsynced(&os.PathError{Op: "sync_file_range", Path: f.Name(), Err: err})
	}
	return nil
}

func (f *osFile) WriteVec(bufs [][]byte, at int64) error {
	var rest [][]byte
	for len(bufs) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), bufs[:min(len(bufs), vecMax)], at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return mapped(&os.PathError{Op: "pwritev", Path: f.Name(), Err: err})
		}
		if n == 0 && len(bufs[0]) > 0 {
			return fmt.Errorf("pwritev %s: wrote nothing", f.Name())
		}
		at += int64(n)
		bufs, rest = advance(bufs, n, rest)
	}
	return nil
}

// advance drops n bytes off the front, without changing the caller's slices.
func advance(bufs [][]byte, n int, scratch [][]byte) (left, kept [][]byte) {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 || len(bufs) == 0 {
		return bufs, scratch
	}
	scratch = append(scratch[:0], bufs...)
	scratch[0] = scratch[0][n:]
	return scratch, nil
}

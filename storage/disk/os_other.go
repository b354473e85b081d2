//go:build !linux

package disk

const (
	directFlags     = 0
	directIsDurable = false
)

// Datasync is a whole sync where the system knows no smaller one.
func (f *osFile) Datasync() error { return f.Sync() }

// StartWriteback is a hint that this system does not take.
func (f *osFile) StartWriteback(int64, int64) error { return nil }

func (f *osFile) WriteVec(bufs [][]byte, at int64) error { return writeEach(f, bufs, at) }

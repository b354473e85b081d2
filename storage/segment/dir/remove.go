package dir

import (
	"errors"
	"log/slog"
	"path"
	"sync"
	"time"

	"milena/storage/disk"
)

// A removed file shrinks by so much at a time, for one big unlink holds up the
// journal's writes where the file system discards at once.
const (
	shrinkBytes = 16 << 20
	shrinkEvery = 20 * time.Millisecond
)

// remover removes files in the background, one after the other.
type remover struct {
	fs  disk.FS
	dir string // what is in here is to be removed
	log *slog.Logger

	mu     sync.Mutex
	queue  []string // files, or directories of files
	work   chan struct{}
	closed chan struct{}
	once   sync.Once
	ended  chan struct{}
}

func (r *remover) start(fs disk.FS, dir string, log *slog.Logger) {
	r.fs, r.dir, r.log = fs, dir, log
	r.work, r.closed, r.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	if names, err := fs.List(dir); err == nil {
		for _, name := range names {
			r.queue = append(r.queue, path.Join(dir, name))
		}
		r.work <- struct{}{}
	}
	go r.run()
}

func (r *remover) add(names ...string) {
	r.mu.Lock()
	r.queue = append(r.queue, names...)
	r.mu.Unlock()
	select {
	case r.work <- struct{}{}:
	default:
	}
}

func (r *remover) stop() {
	r.once.Do(func() { close(r.closed) })
	<-r.ended
}

func (r *remover) run() {
	defer close(r.ended)
	for {
		select {
		case <-r.closed:
			return
		case <-r.work:
		}
		for {
			r.mu.Lock()
			if len(r.queue) == 0 {
				r.mu.Unlock()
				break
			}
			name := r.queue[0]
			r.queue = r.queue[1:]
			r.mu.Unlock()
			if err := r.remove(name); err != nil && !errors.Is(err, disk.ErrNotExist) {
				r.log.Warn("could not remove what is no longer needed", "name", name, "err", err)
			}
			select {
			case <-r.closed:
				return
			default:
			}
		}
	}
}

func (r *remover) remove(name string) error {
	info, err := r.fs.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir {
		names, err := r.fs.List(name)
		if err != nil {
			return err
		}
		for _, inside := range names {
			if err := r.remove(path.Join(name, inside)); err != nil {
				return err
			}
		}
		return r.fs.Remove(name)
	}
	if info.Size > shrinkBytes {
		if err := r.shrink(name, info.Size); err != nil {
			return err
		}
	}
	return r.fs.Remove(name)
}

func (r *remover) shrink(name string, size int64) error {
	f, err := r.fs.Open(name, disk.Write)
	if err != nil {
		return err
	}
	defer f.Close()
	pause := time.NewTicker(shrinkEvery)
	defer pause.Stop()
	for size -= shrinkBytes; size > 0; size -= shrinkBytes {
		if err := f.Truncate(size); err != nil {
			return err
		}
		select {
		case <-r.closed:
			return nil
		case <-pause.C:
		}
	}
	return nil
}

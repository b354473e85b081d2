package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"milena/config"
	"milena/storage/disk"
)

// Options say what to run.
type Options struct {
	Config        *config.Broker
	Memory        bool // a throw-away instance
	Secure        bool // users, TLS
	Insecure      bool // a listener beyond loopback may be without TLS and SASL
	Init          bool // prepare the directory and stop
	Admin         string
	AdminPassword string    // empty: one is made and printed
	Out           io.Writer // the card
	Log           *slog.Logger
	Version       string
	Command       string           // how this program is called, for the card; empty: milena
	Now           func() time.Time // the wall clock; nil: the machine's
	Ready         func(*Server)    // called when every listener answers; may be nil

	disk      func(disk.FS) disk.FS // tests put a faulty one in between
	fileBytes int64                 // of the journal's files; 0: the engine's own
}

// A stop takes drainTime at most. Clients get a part of it, the last checkpoint
// the rest; a disk that answers nothing is given up a little later.
const (
	drainTime  = 10 * time.Second
	clientTime = 8 * time.Second
	hungTime   = 2 * time.Second
)

// Run starts an instance, waits until ctx ends or storage fails, and stops it.
// A hang-up signal loads the certificates anew.
func Run(ctx context.Context, o Options) error {
	began := time.Now()
	s, err := Start(ctx, o)
	if err != nil {
		return failed(err)
	}
	if o.Init {
		err := s.Stop()
		if err == nil {
			s.card(time.Since(began)).printInit(o.Out)
		}
		return failed(err)
	}
	hangUp := make(chan os.Signal, 1)
	if len(s.sources) > 0 { // else it ends with its terminal
		signal.Notify(hangUp, syscall.SIGHUP) // before anybody is told that it runs
		defer signal.Stop(hangUp)
	}
	if o.Out != nil {
		s.card(time.Since(began)).print(o.Out)
	}
	if o.Ready != nil {
		o.Ready(s)
	}
	s.wait(ctx, hangUp)
	return failed(s.stopWithin(drainTime + hungTime))
}

// stopWithin is Stop for a process that ends: what hangs in the disk is left
// behind. Nothing that was acknowledged rests on it.
func (s *Server) stopWithin(limit time.Duration) error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-stopped:
		return err
	case <-timer.C:
		return &Error{exitStorage, fmt.Errorf("the disk under %s did not answer for %v: stopped without a last checkpoint; look at the disk, then start again: what was acknowledged is there", s.place.dir, limit)}
	}
}

func (s *Server) wait(ctx context.Context, hangUp <-chan os.Signal) {
	for {
		select {
		case <-hangUp:
			s.Reload()
		case <-ctx.Done():
			s.o.Log.Info("stopping", "limit", drainTime.String())
			return
		case <-s.failed:
			return
		}
	}
}

// place is where an instance keeps its files.
type place struct {
	dir       string
	fs        disk.FS
	lock      io.Closer
	temporary bool // removed with the instance
}

// openPlace finds the data directory and locks it. A throw-away instance has a
// temporary one, for its certificate and its addresses.
func openPlace(o Options) (place, error) {
	if o.Memory {
		dir, err := os.MkdirTemp("", "milena-")
		if err != nil {
			return place{}, err
		}
		return lockPlace(place{dir: dir, temporary: true})
	}
	dirs := o.Config.List("log.dirs")
	if len(dirs) != 1 {
		return place{}, &Error{exitUsage, fmt.Errorf("log.dirs names %d directories: one is supported; put them on one file system, or start one instance each", len(dirs))}
	}
	if err := os.MkdirAll(dirs[0], 0o700); err != nil {
		return place{}, unusable(dirs[0], err)
	}
	return lockPlace(place{dir: dirs[0]})
}

// lockName is the file that the process that runs holds.
const lockName = "lock"

func lockPlace(p place) (place, error) {
	absolute, err := filepath.Abs(p.dir)
	if err != nil {
		return place{}, err
	}
	if p.fs, err = disk.OS(absolute); err != nil {
		return place{}, unusable(p.dir, err)
	}
	if p.lock, err = p.fs.Lock(lockName); err != nil {
		if errors.Is(err, disk.ErrLocked) {
			return place{}, &Error{exitConflict, fmt.Errorf("%s is in use by another milena, which holds %s: stop that one, or start with --data and another directory", p.dir, filepath.Join(p.dir, lockName))}
		}
		return place{}, unusable(p.dir, err)
	}
	return p, nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("data directory %s: %w; choose one that you may write to, with --data DIR", dir, err)
}

func (p place) close() error {
	err := p.lock.Close()
	if p.temporary {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

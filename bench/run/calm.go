package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a run begins with, and how long that is waited for.
const (
	calmBytes   = 64 << 20 // that may wait to be written
	calmTimeout = time.Minute
	goneTimeout = time.Minute
	roomBytes   = 25 << 30 // free on the disk: what brokers hold, and some more
	spareBytes  = 3 << 30  // of memory that the fill leaves free
	look        = 100 * time.Millisecond
)

// memory gives lines of /proc/meminfo, in bytes.
func memory(names ...string) (total int64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		for _, wanted := range names {
			if name == wanted {
				kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				if err != nil {
					return 0, fmt.Errorf("meminfo: %w", err)
				}
				total += kb << 10
				found++
			}
		}
	}
	if found != len(names) {
		return 0, fmt.Errorf("meminfo has not all of %v", names)
	}
	return total, nil
}

// calm waits until what earlier runs wrote is on the disk.
func calm(ctx context.Context) error {
	syscall.Sync()
	for deadline := time.Now().Add(calmTimeout); ; time.Sleep(look) {
		waiting, err := memory("Dirty", "Writeback")
		if err != nil || waiting < calmBytes {
			return err
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d MB still wait to be written after %v", waiting>>20, calmTimeout)
		}
	}
}

// gone waits until nothing is left of deleted topics.
func (b *broker) gone(ctx context.Context) error {
	for deadline := time.Now().Add(goneTimeout); !b.clean(); time.Sleep(look) {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s has not removed its topic after %v", b.name, goneTimeout)
		}
	}
	return nil
}

// freeRoom gives what is free on the file system of a directory.
func freeRoom(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}

// room says whether a run fits the disk.
func room(dir string) error {
	free, err := freeRoom(dir)
	if err == nil && free < roomBytes {
		err = fmt.Errorf("%d GB are free in %s, a run needs %d", free>>30, dir, roomBytes>>30)
	}
	return err
}

// fillCache makes sure that nearly all memory is in use: by a file in the page
// cache, from which brokers then take it. It is made once, and what was taken
// from it is read again before each run.
func fillCache(dir string) error {
	name := filepath.Join(dir, "fill")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size == 0 {
		if size, err = makeFill(f, dir); err != nil {
			return err
		}
	}
	return readMissing(f, size)
}

func makeFill(f *os.File, dir string) (int64, error) {
	available, err := memory("MemAvailable")
	if err != nil {
		return 0, err
	}
	free, err := freeRoom(dir)
	if err != nil {
		return 0, err
	}
	size := max(min(available-spareBytes, free-roomBytes), 0)
	piece := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(piece)) {
		if _, err := f.Write(piece); err != nil {
			return 0, err
		}
	}
	return size, f.Sync()
}

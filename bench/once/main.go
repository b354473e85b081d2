//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"milena/bench/process"
	"milena/storage/disk"
	"milena/storage/journal/file"
)

// trial is what is asked for on the command line, and what became of it.
type trial struct {
	way        string
	partitions int
	depth      int
	batch      int
	duration   time.Duration

	batches atomic.Int64
	mu      sync.Mutex
	times   *hdrhistogram.Histogram // µs
}

// way makes batches durable. Calls for one partition come one after the other,
// and done may be called by anybody.
type way interface {
	write(partition int, batch []byte, done func(error))
	close() error
}

func main() {
	t := &trial{times: hdrhistogram.New(1, 60_000_000, 3)}
	dir := flag.String("dir", "", "an empty directory on the disk that is asked; by default a temporary one")
	flag.StringVar(&t.way, "way", "twice", "twice, cache or direct")
	flag.IntVar(&t.partitions, "partitions", 20, "files that are written")
	flag.IntVar(&t.depth, "depth", 1, "batches under way in each")
	flag.IntVar(&t.batch, "batch", 1_000_000, "bytes of a batch")
	flag.DurationVar(&t.duration, "for", time.Minute, "measured time")
	flag.Parse()
	if err := t.run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "once:", err)
		os.Exit(1)
	}
}

func (t *trial) run(dir string) error {
	if dir == "" {
		made, err := os.MkdirTemp("", "once")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	fs, err := disk.OS(dir)
	if err != nil {
		return err
	}
	j, err := file.Open(fs, "journal", file.Options{Logs: t.partitions})
	if err != nil {
		return err
	}
	defer j.Close()
	w, err := t.open(fs, j)
	if err != nil {
		return err
	}
	before, err := process.Look(os.Getpid())
	if err != nil {
		return errors.Join(err, w.close())
	}
	began := time.Now()
	err = t.drive(w)
	took := time.Since(began).Seconds()
	after, looked := process.Look(os.Getpid())
	spent := after.CPU - before.CPU
	err = errors.Join(err, looked)
	if closed := w.close(); err == nil {
		err = closed
	}
	gb := float64(t.batches.Load()) * float64(t.batch) / 1e9
	fmt.Printf("%-6s %7.1f MB/s  %.2f CPU-s/GB  p50 %.1f p99 %.1f p999 %.1f ms\n", t.way, gb*1000/took, spent/gb,
		float64(t.times.ValueAtQuantile(50))/1000, float64(t.times.ValueAtQuantile(99))/1000, float64(t.times.ValueAtQuantile(99.9))/1000)
	return err
}

func (t *trial) open(fs disk.FS, j *file.Journal) (way, error) {
	switch t.way {
	case "twice":
		return openTwice(fs, j, t.partitions)
	case "cache", "direct":
		return openOnce(fs, j, t.partitions, t.batch, t.way == "direct")
	}
	return nil, fmt.Errorf("no way %q", t.way)
}

// drive keeps every partition busy until the time is over.
func (t *trial) drive(w way) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), t.duration, nil)
	defer cancel()
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for p := range t.partitions {
		all.Go(func() {
			batch := make([]byte, t.batch)
			for i := range batch {
				batch[i] = byte(i * 7)
			}
			room := make(chan struct{}, t.depth)
			for ctx.Err() == nil {
				room <- struct{}{}
				at := time.Now()
				w.write(p, batch, func(err error) {
					if err != nil {
						failed.CompareAndSwap(nil, &err)
						cancel()
					}
					t.done(time.Since(at))
					<-room
				})
			}
			for range t.depth {
				room <- struct{}{}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (t *trial) done(took time.Duration) {
	t.batches.Add(1)
	t.mu.Lock()
	t.times.RecordValue(took.Microseconds()) //nolint:errcheck // what is beyond a minute shows as a minute
	t.mu.Unlock()
}

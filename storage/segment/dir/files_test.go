package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milena/batch"
	"milena/storage/disk"
	"milena/storage/segment"
	"milena/storage/segment/segmenttest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// partition gives partitions of one topic; 0 is the suite's.
func partition(index int32) segment.Partition {
	p := segmenttest.Partition
	p.Index += index
	return p
}

// The system tells of a failed sync once, and drops what it could not write: a
// second try would succeed, and mean nothing.
func TestAFailedSyncIsNeverTriedAgain(t *testing.T) {
	ctx := context.Background()
	broken := errors.New("the disk is gone")
	var fail atomic.Bool
	fs := disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
		if c.Op == "sync" && strings.HasSuffix(c.Name, ".log") && fail.CompareAndSwap(true, false) {
			return broken
		}
		return nil
	})
	s := openStore(t, fs)
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(0, 4)))
	fail.Store(true)
	for try := range 3 {
		if settled, err := s.Sync(ctx); try == 0 && !errors.Is(err, broken) {
			t.Fatalf("first sync: %v, want %v", err, broken)
		} else if try > 0 && len(settled) > 0 {
			t.Fatalf("sync %d told %+v after one had failed", try+1, settled)
		}
		if err := s.Settle(ctx, partition(0), segmenttest.Batches(int64(8+2*try), 1)); !errors.Is(err, broken) {
			t.Fatalf("settled after a failed sync: %v, want %v", err, broken)
		}
	}
}

func TestOpenFilesKeepTheirLimitWhileManyPartitionsAreWritten(t *testing.T) {
	ctx, fs := context.Background(), realDisk(t)
	s := openStore(t, fs) // with 2 files
	all := segmenttest.Batches(0, 6)
	for i := range all {
		for index := range int32(20) {
			must(t, s.Settle(ctx, partition(index), all[i:i+1]))
			if open := s.Stats().OpenFiles; open > 2 {
				t.Fatalf("%d files are open, the limit is 2", open)
			}
		}
	}
	settled, err := s.Sync(ctx)
	must(t, err)
	if len(settled) != 20 {
		t.Fatalf("told of %d partitions, want 20", len(settled))
	}
	for _, at := range settled {
		if at.Next != 12 {
			t.Errorf("partition %d is durable up to %d, want 12", at.Index, at.Next)
		}
	}
}

// A reader has the file open; the partition goes; what it reads must be whole,
// though what goes is shrunk in steps.
func TestADroppedPartitionIsWholeForWhoReadsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, fs := context.Background(), disk.NewMemory()
		s := openStore(t, fs)
		big := segmenttest.Batches(0, 1)
		big[0].Bytes = (&batch.Builder{}).Add(0, nil, make([]byte, 2*shrinkBytes)).Build()
		must(t, s.Settle(ctx, partition(0), big))
		span, err := s.Read(ctx, partition(0), 0, 2, 1<<30)
		must(t, err)
		must(t, s.Drop(ctx, partition(0)))
		time.Sleep(time.Minute) // the remover's, if it has anything to do
		release := span.Release
		span.Release = nil
		if got := segmenttest.Bytes(t, span); !bytes.Equal(got, big[0].Bytes) {
			t.Fatalf("read %d bytes, want %d as they were written", len(got), len(big[0].Bytes))
		}
		release()
		time.Sleep(time.Minute)
		if names, err := fs.List("topics/removed"); err != nil || len(names) > 0 {
			t.Errorf("left in removed: %v %v", names, err)
		}
		must(t, s.Close())
	})
}

// A search goes through headers on the disk; writers and other readers of the
// partition must not wait for it.
func TestNobodyWaitsForASearch(t *testing.T) {
	ctx := context.Background()
	reading, free := make(chan struct{}), make(chan struct{})
	var stop atomic.Bool
	fs := disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
		if c.Op == "read" && stop.CompareAndSwap(true, false) {
			close(reading)
			<-free
		}
		return nil
	})
	s := openStore(t, fs)
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(0, 100)))
	stop.Store(true)
	var search sync.WaitGroup
	search.Go(func() {
		if _, err := s.Read(ctx, partition(0), 51, 200, 100); err != nil {
			t.Error(err)
		}
	})
	<-reading
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(200, 1)))
	if _, err := s.Read(ctx, partition(0), 3, 200, 100); err != nil {
		t.Error(err)
	}
	if n := len(s.Segments(partition(0))); n != 1 {
		t.Errorf("%d segments, want 1", n)
	}
	close(free)
	search.Wait()
}

// reads counts what a store reads of its segments.
func reads(fs disk.FS) (*disk.Faulty, *atomic.Int64) {
	var n atomic.Int64
	return disk.NewFaulty(fs, func(c disk.Call) error {
		if c.Op == "read" && strings.HasSuffix(c.Name, ".log") {
			n.Add(1)
		}
		return nil
	}), &n
}

func TestARestartedPartitionIsWrittenWithoutGoingThroughItsSegment(t *testing.T) {
	ctx := context.Background()
	fs, n := reads(disk.NewMemory())
	s, err := Open(fs, "topics", Options{})
	must(t, err)
	all := segmenttest.Batches(0, 20_000)
	must(t, s.Settle(ctx, partition(0), all))
	settled, err := s.Sync(ctx)
	must(t, err)
	must(t, s.Close())

	s, err = Open(fs, "topics", Options{})
	must(t, err)
	defer s.Close()
	must(t, s.Restore(ctx, settled[0]))
	n.Store(0)
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(40_000, 10)))
	if got := n.Load(); got > 0 {
		t.Errorf("the first write after a restart read %d times from the segment", got)
	}
	span, err := s.Read(ctx, partition(0), 40_000, 40_020, 1<<20)
	must(t, err)
	if got, want := segmenttest.Bytes(t, span), segmenttest.Join(segmenttest.Batches(40_000, 10)); !bytes.Equal(got, want) {
		t.Errorf("read %d bytes behind the restart, want %d", len(got), len(want))
	}
	if got := segmenttest.ReadAll(t, s, 39_990); !bytes.Equal(got, segmenttest.Join(append(all[19_995:20_000:20_000], segmenttest.Batches(40_000, 10)...))) {
		t.Errorf("read %d bytes across the restart", len(got))
	}
	if got, most := n.Load(), int64(200); got > most {
		t.Errorf("%d reads, want %d at most: headers are read by the block", got, most)
	}
}

// An index is kept with its open file only, so that what is remembered of a
// large disk has a limit.
func TestASealedIndexGoesWithItsFile(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, disk.NewMemory())
	for i := range int64(10) {
		must(t, s.Settle(ctx, partition(0), segmenttest.Batches(100*i, 50)))
		must(t, s.Seal(ctx, partition(0)))
	}
	_, err := s.Sync(ctx)
	must(t, err)
	segmenttest.ReadAll(t, s, 0)
	kept := 0
	for _, g := range s.part(partition(0)).segs {
		if g.index.entries != nil || g.handle.open != nil && g.handle.open.index.Load() != nil {
			kept++
		}
	}
	if kept > 2 {
		t.Errorf("%d indexes are in memory, with 2 files open", kept)
	}
}

func TestAMissingSegmentIsNamed(t *testing.T) {
	ctx, fs := context.Background(), realDisk(t)
	s := openStore(t, fs)
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(0, 4)))
	settled, err := s.Sync(ctx)
	must(t, err)
	name := fmt.Sprintf("%s/%020d.log", s.part(partition(0)).dir, 0)
	must(t, s.Close())
	must(t, fs.Remove(name))
	s = openStore(t, fs)
	must(t, s.Restore(ctx, settled[0]))
	_, err = s.Read(ctx, partition(0), 0, 8, 1<<20)
	if !errors.Is(err, segment.ErrCorrupt) || !strings.Contains(err.Error(), "segment 0 is gone") {
		t.Errorf("read of a partition without its segment: %v", err)
	}
}

package dir

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"milena/storage/disk"
	"milena/storage/segment"
	"milena/storage/segment/segmenttest"
)

// A write that finds no room has written a part of it. The segment is as it
// was: the same batches settle when there is room, also after it was sealed,
// after a power cut, and in other portions.
func TestAWriteWithoutRoomLeavesTheSegmentAsItWas(t *testing.T) {
	ctx := context.Background()
	all := segmenttest.Batches(0, 12)
	for name, step := range map[string]struct {
		seal  bool
		again int // batches that are settled at first when there is room
	}{"all at once": {again: 6}, "fewer at first": {again: 1}, "sealed first": {seal: true, again: 6}} {
		t.Run(name, func(t *testing.T) {
			memory := disk.NewMemory()
			s := openStore(t, memory)
			must(t, s.Settle(ctx, partition(0), all[:6]))
			if _, err := s.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			length := int64(len(segmenttest.Join(all[:6])))
			memory.SetSize(length + int64(len(segmenttest.Join(all[6:9]))) + 10)
			if err := s.Settle(ctx, partition(0), all[6:]); !errors.Is(err, segment.ErrNoRoom) {
				t.Fatalf("settled without room: %v, want %v", err, segment.ErrNoRoom)
			}
			if got := segmenttest.ReadAll(t, s, 0); !bytes.Equal(got, segmenttest.Join(all[:6])) {
				t.Fatalf("read %d bytes while there is no room, want %d", len(got), length)
			}
			memory.SetSize(0)
			if step.seal {
				must(t, s.Seal(ctx, partition(0)))
			}
			must(t, s.Settle(ctx, partition(0), all[6:6+step.again]))
			must(t, s.Settle(ctx, partition(0), all[6+step.again:]))
			settled, err := s.Sync(ctx)
			if err != nil || len(settled) != 1 {
				t.Fatalf("sync told %+v, %v", settled, err)
			}
			for seed := range uint64(8) {
				after := openStore(t, memory.Crash(seed))
				must(t, after.Restore(ctx, settled[0]))
				if got := segmenttest.ReadAll(t, after, 0); !bytes.Equal(got, segmenttest.Join(all)) {
					t.Fatalf("power cut %d: read %d bytes, want %d", seed, len(got), len(segmenttest.Join(all)))
				}
			}
		})
	}
}

// The first segment of a partition finds no room for its first batch, nor a
// sealed one for its index.
func TestNoRoomForANewSegmentOrAnIndexIsNoFailure(t *testing.T) {
	ctx := context.Background()
	all := segmenttest.Batches(0, 4)
	var full atomic.Bool
	s := openStore(t, disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
		if full.Load() && (c.Op == "open" || c.Op == "write") {
			return disk.ErrNoSpace
		}
		return nil
	}))
	full.Store(true)
	if err := s.Settle(ctx, partition(0), all[:2]); !errors.Is(err, segment.ErrNoRoom) {
		t.Fatalf("settled without room: %v, want %v", err, segment.ErrNoRoom)
	}
	full.Store(false)
	must(t, s.Settle(ctx, partition(0), all[:2]))
	full.Store(true)
	must(t, s.Seal(ctx, partition(0)))
	full.Store(false)
	must(t, s.Settle(ctx, partition(0), all[2:]))
	if got := segmenttest.ReadAll(t, s, 0); !bytes.Equal(got, segmenttest.Join(all)) {
		t.Errorf("read %d bytes, want %d", len(got), len(segmenttest.Join(all)))
	}
}

// A sync that finds no room is a failed sync: the system has dropped what it
// could not write, and a second one would tell nothing.
func TestASyncWithoutRoomIsAFailedSync(t *testing.T) {
	ctx := context.Background()
	var full atomic.Bool
	s := openStore(t, disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
		if c.Op == "sync" && strings.HasSuffix(c.Name, ".log") && full.CompareAndSwap(true, false) {
			return disk.ErrNoSpace
		}
		return nil
	}))
	must(t, s.Settle(ctx, partition(0), segmenttest.Batches(0, 2)))
	full.Store(true)
	if _, err := s.Sync(ctx); !errors.Is(err, disk.ErrSync) || errors.Is(err, segment.ErrNoRoom) {
		t.Fatalf("sync: %v, want %v", err, disk.ErrSync)
	}
	if err := s.Settle(ctx, partition(0), segmenttest.Batches(4, 2)); err == nil || errors.Is(err, segment.ErrNoRoom) {
		t.Fatalf("settled after a failed sync: %v", err)
	}
}

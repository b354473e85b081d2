package dir

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"milena/storage/disk"
	"milena/storage/segment"
	"milena/storage/segment/segmenttest"
)

// The last report names a segment that retention removed since. That is no
// damage: the partition goes on behind it.
func TestASettledPointInAForgottenSegmentIsNoDamage(t *testing.T) {
	ctx, fs := context.Background(), disk.NewMemory()
	all := segmenttest.Batches(0, 30)
	s := openStore(t, fs)
	must(t, s.Settle(ctx, partition(0), all[:10]))
	settled, err := s.Sync(ctx)
	must(t, err)
	must(t, s.Seal(ctx, partition(0)))
	must(t, s.Settle(ctx, partition(0), all[10:20]))
	_, err = s.Sync(ctx) // nobody keeps this report
	must(t, err)
	must(t, s.Forget(ctx, partition(0), 20))
	must(t, s.Close())

	s = openStore(t, fs)
	must(t, s.Restore(ctx, settled[0]))
	must(t, s.Settle(ctx, partition(0), all[10:]))
	if got, want := segmenttest.ReadAll(t, s, 20), segmenttest.Join(all[10:]); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes behind what was forgotten, want %d", len(got), len(want))
	}
	for _, info := range s.Segments(partition(0)) {
		if info.Base < 20 {
			t.Errorf("segment %d is back", info.Base)
		}
	}
}

// Forgetting may be cut off at every call. Whatever was told before, Restore
// must take it, and everything at or above the offset must be there.
func TestAPowerCutWhileForgetting(t *testing.T) {
	ctx := context.Background()
	all := segmenttest.Batches(0, 40)
	script := func(fs disk.FS, told func(segment.Settled)) {
		s, err := Open(fs, "topics", Options{IndexEvery: 256})
		if err != nil {
			return
		}
		defer s.Close()
		for i := 0; i < len(all); i += 5 {
			if s.Settle(ctx, partition(0), all[i:i+5]) != nil {
				return
			}
			if i%10 == 5 {
				settled, err := s.Sync(ctx)
				if err != nil {
					return
				}
				told(settled[0])
			}
			if s.Seal(ctx, partition(0)) != nil || s.Forget(ctx, partition(0), all[i].Base) != nil {
				return
			}
		}
	}
	count := disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
	script(count, func(segment.Settled) {})
	shown := 0
	for at := 1; at <= count.Calls(); at++ {
		for seed := range uint64(4) {
			memory := disk.NewMemory()
			var mu sync.Mutex // the remover makes calls, too
			var last, before segment.Settled
			var after *disk.Memory
			faulty := disk.NewFaulty(memory, nil)
			faulty.Hook = func(c disk.Call) error {
				mu.Lock()
				defer mu.Unlock()
				if c.Number == at {
					after, before = memory.Crash(seed), last
				}
				return nil
			}
			script(faulty, func(s segment.Settled) {
				mu.Lock()
				defer mu.Unlock()
				last = s
			})
			if after == nil || before.Next == 0 {
				continue
			}
			shown++
			s := openStore(t, after)
			must(t, s.Restore(ctx, before))
			if err := s.Settle(ctx, partition(0), all[before.Next/2:]); err != nil {
				t.Fatalf("call %d seed %d, restored to %d: %v", at, seed, before.Next, err)
			}
			// What was forgotten below the settled point was asked for; nothing
			// above it may be missing.
			if got, want := segmenttest.ReadAll(t, s, before.Next), segmenttest.Join(all[before.Next/2:]); !bytes.Equal(got, want) {
				t.Fatalf("call %d seed %d, restored to %d: read %d bytes, want %d", at, seed, before.Next, len(got), len(want))
			}
			must(t, s.Close())
		}
	}
	if shown < 100 {
		t.Errorf("only %d cuts were looked at", shown)
	}
}

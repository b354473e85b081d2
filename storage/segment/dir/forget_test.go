package dir

import (
	"bytes"
	"context"
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
	powerCuts(t, script, func(s *Store, before segment.Settled, cut string) {
		if err := s.Settle(ctx, partition(0), all[before.Next/2:]); err != nil {
			t.Fatalf("%s: %v", cut, err)
		}
		// What was forgotten below the settled point was asked for; nothing
		// above it may be missing.
		if got, want := segmenttest.ReadAll(t, s, before.Next), segmenttest.Join(all[before.Next/2:]); !bytes.Equal(got, want) {
			t.Fatalf("%s: read %d bytes, want %d", cut, len(got), len(want))
		}
	})
}

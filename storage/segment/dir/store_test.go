package dir

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"milena/storage/disk"
	"milena/storage/segment"
	"milena/storage/segment/segmenttest"
)

func realDisk(t *testing.T) disk.FS {
	fs, err := disk.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func openStore(t *testing.T, fs disk.FS) *Store {
	t.Helper()
	s, err := Open(fs, "topics", Options{IndexEvery: 512, OpenFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Run("real disk", func(t *testing.T) {
		segmenttest.Run(t, func(t *testing.T) segment.Store { return openStore(t, realDisk(t)) })
	})
	t.Run("in memory", func(t *testing.T) {
		segmenttest.Run(t, func(t *testing.T) segment.Store { return openStore(t, disk.NewMemory()) })
	})
}

// Whatever a power cut leaves, what Sync reported is there, and Restore mends
// the rest.
func TestWhatSyncReportedSurvivesAPowerCutAtEveryCall(t *testing.T) {
	ctx := context.Background()
	all := segmenttest.Batches(0, 40)
	script := func(fs disk.FS, told func(segment.Settled)) {
		s, err := Open(fs, "topics", Options{IndexEvery: 256})
		if err != nil {
			return
		}
		defer s.Close()
		for i := 0; i < len(all); i += 4 {
			if s.Settle(ctx, segmenttest.Partition, all[i:i+4]) != nil {
				return
			}
			if i%12 == 8 && s.Seal(ctx, segmenttest.Partition) != nil {
				return
			}
			if i%8 == 4 {
				settled, err := s.Sync(ctx)
				if err != nil {
					return
				}
				for _, one := range settled {
					told(one)
				}
			}
		}
	}
	count := disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
	script(count, func(segment.Settled) {})
	for at := 1; at <= count.Calls(); at++ {
		for seed := range uint64(4) {
			memory := disk.NewMemory()
			var last, before segment.Settled
			var after *disk.Memory
			faulty := disk.NewFaulty(memory, nil)
			faulty.Hook = func(c disk.Call) error {
				if c.Number == at {
					after, before = memory.Crash(seed), last
				}
				return nil
			}
			script(faulty, func(s segment.Settled) { last = s })
			if after == nil || before.Next == 0 {
				continue
			}
			s := openStore(t, after)
			if err := s.Restore(ctx, before); err != nil {
				t.Fatalf("call %d seed %d: %v", at, seed, err)
			}
			if got, want := segmenttest.ReadAll(t, s, 0), segmenttest.Join(all[:before.Next/2]); !bytes.Equal(got, want) {
				t.Fatalf("call %d seed %d: read %d bytes, want %d", at, seed, len(got), len(want))
			}
			rest := all[before.Next/2:]
			if err := s.Settle(ctx, segmenttest.Partition, rest); err != nil {
				t.Fatalf("call %d seed %d: settle again: %v", at, seed, err)
			}
			if got := segmenttest.ReadAll(t, s, 0); !bytes.Equal(got, segmenttest.Join(all)) {
				t.Fatalf("call %d seed %d: settled again: read %d bytes", at, seed, len(got))
			}
			s.Close()
		}
	}
}

func TestALostIndexIsMadeAgain(t *testing.T) {
	ctx, fs := context.Background(), realDisk(t)
	s := openStore(t, fs)
	all := segmenttest.Batches(0, 100)
	if err := s.Settle(ctx, segmenttest.Partition, all); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(ctx, segmenttest.Partition); err != nil {
		t.Fatal(err)
	}
	settled, err := s.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	index := fmt.Sprintf("%s/%020d.index", s.part(segmenttest.Partition).dir, 0)
	for _, damage := range []string{"", "gone", "flipped"} {
		switch damage {
		case "gone":
			err = fs.Remove(index)
		case "flipped":
			var f disk.File
			if f, err = fs.Open(index, disk.Write|disk.Create); err == nil {
				_, err = f.WriteAt([]byte("xxxx"), 9)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		again := openStore(t, fs)
		if err := again.Restore(ctx, settled[0]); err != nil {
			t.Fatal(err)
		}
		if got := segmenttest.ReadAll(t, again, 55); !bytes.Equal(got, segmenttest.Join(all[27:])) {
			t.Errorf("index %s: read %d bytes from 55 on", damage, len(got))
		}
	}
}

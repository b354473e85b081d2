package dir

import (
	"bytes"
	"context"
	"fmt"
	"sync"
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
	powerCuts(t, script, func(s *Store, before segment.Settled, cut string) {
		if got, want := segmenttest.ReadAll(t, s, 0), segmenttest.Join(all[:before.Next/2]); !bytes.Equal(got, want) {
			t.Fatalf("%s: read %d bytes, want %d", cut, len(got), len(want))
		}
		if err := s.Settle(ctx, segmenttest.Partition, all[before.Next/2:]); err != nil {
			t.Fatalf("%s: settle again: %v", cut, err)
		}
		if got := segmenttest.ReadAll(t, s, 0); !bytes.Equal(got, segmenttest.Join(all)) {
			t.Fatalf("%s: settled again: read %d bytes", cut, len(got))
		}
	})
}

// powerCuts runs a script with a power cut at every file call, four ways each,
// and looks at what is there when the last point that it had told is restored.
func powerCuts(t *testing.T, script func(disk.FS, func(segment.Settled)), look func(s *Store, before segment.Settled, cut string)) {
	t.Helper()
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
			cut := fmt.Sprintf("call %d seed %d, restored to %d", at, seed, before.Next)
			s := openStore(t, after)
			if err := s.Restore(context.Background(), before); err != nil {
				t.Fatalf("%s: %v", cut, err)
			}
			look(s, before, cut)
			must(t, s.Close())
		}
	}
	if shown < 100 {
		t.Errorf("only %d cuts were looked at", shown)
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

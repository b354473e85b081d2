package file

import (
	"context"
	"strings"
	"testing"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// A file that lost its head is moved aside too, once two snapshots know which
// logs that stopped; the next starts tell of the logs, and the rest runs.
func TestAFileWithoutAHeadIsSetAsideWhenItsLogsAreKnown(t *testing.T) {
	memory, o := disk.NewMemory(), tiny()
	o.MaxLive = 2 << 20
	lives, _ := several(t, memory, o)
	lost := lives[len(lives)-1].name
	write(t, memory, lost, 0, make([]byte, headSize(3)))
	held := content(t, memory, lost)
	var first *journal.Damaged
	for start := range 4 {
		j := open(t, memory, o)
		damaged, _ := damagedBy(t, j)
		if damaged == nil {
			t.Fatalf("start %d: told of no damage", start)
		}
		if first == nil {
			first = damaged
		}
		if len(damaged.Logs) != len(first.Logs) {
			t.Fatalf("start %d: told %+v, want %+v", start, damaged.Logs, first.Logs)
		}
		var snapshots []journal.Snapshot
		for log := range uint16(3) {
			s := journal.Snapshot{Log: log, Place: j.logs[log].place, Token: j.logs[log].token, Keep: j.logs[log].place}
			for _, hit := range damaged.Logs {
				if hit.Log == log {
					s.Place, s.Keep, s.Token = hit.Place, hit.Place, 0
				}
			}
			snapshots = append(snapshots, s)
		}
		if err := j.Save(context.Background(), snapshots); err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
	if string(content(t, memory, "journal/lost/"+strings.TrimPrefix(lost, "journal/"))) != string(held) {
		t.Error("the file was changed")
	}
}

// A journal whose log was hit by damage runs for ever: the log stays stopped at
// its place over restarts and power cuts, what it may still need is moved to
// lost/ and never written again, and the rest is recycled.
func TestADamagedJournalRunsForEver(t *testing.T) {
	for name, hurt := range map[string]func(*testing.T, *disk.Memory, string, int64){
		"a chunk's head": func(t *testing.T, m *disk.Memory, name string, at int64) { scribble(t, m, name, at+9, 1) },
		"a piece": func(t *testing.T, m *disk.Memory, name string, at int64) {
			scribble(t, m, name, at+chunkFixed+rowSize+1, 1)
		},
	} {
		for _, cut := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", power cuts", false: ", restarts"}[cut], func(t *testing.T) {
				memory, o := disk.NewMemory(), tiny()
				o.MaxLive = 4 << 20
				j := open(t, memory, o)
				quiet, busy := &journaltest.Writer{Log: 0}, &journaltest.Writer{Log: 1}
				third := &journaltest.Writer{Log: 2}
				journaltest.Append(t, j, quiet.Next("good"))
				last := quiet.Token
				journaltest.Append(t, j, quiet.Next("hit"))
				for range 3 {
					journaltest.Append(t, j, busy.Next("x"))
					journaltest.Append(t, j, third.Next("x"))
				}
				file, at := j.cur.name, j.cur.index[1].at
				j.Close()
				hurt(t, memory, file, at)
				held := content(t, memory, file)
				written := uint64(0)
				for round := range 12 {
					j = open(t, memory, o)
					damaged, _ := damagedBy(t, j)
					if damaged == nil || len(damaged.Logs) != 1 || damaged.Logs[0] != (journal.Cursor{Log: 0, Place: 1}) {
						t.Fatalf("round %d: told %+v, want log 0 to stop at 1", round, damaged)
					}
					for range 100 {
						for _, w := range []*journaltest.Writer{busy, third} {
							if got := journaltest.Append(t, j, w.Next(strings.Repeat("x", 3000))); got[0] != journal.OK {
								t.Fatalf("round %d: the rest does not run: %v", round, got[0])
							}
						}
					}
					if got := journaltest.Append(t, j, journal.Entry{Log: 0, Place: 2, Prev: last, Token: 7}); got[0] != journal.Broken {
						t.Fatalf("round %d: an append to the stopped log: %v", round, got[0])
					}
					if err := j.Save(context.Background(), []journal.Snapshot{
						{Log: 0, Place: 1, Token: last, Keep: 1},
						{Log: 1, Place: busy.Place, Token: busy.Token, Keep: busy.Place},
						{Log: 2, Place: third.Place, Token: third.Token, Keep: third.Place},
					}); err != nil {
						t.Fatal(err)
					}
					written += j.Stats().WrittenBytes
					j.Close()
					if cut {
						memory = memory.Crash(uint64(round))
					}
				}
				if written < 2*uint64(o.MaxLive) {
					t.Errorf("%d bytes were written, the journal has %d: that proves little", written, o.MaxLive)
				}
				kept := content(t, memory, "journal/lost/"+strings.TrimPrefix(file, "journal/"))
				if string(kept) != string(held) {
					t.Errorf("what the stopped log may need was changed: %d bytes, were %d", len(kept), len(held))
				}
			})
		}
	}
}

package file

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// repaired does what a repair does, in its order, and gives where each log goes on.
func repaired(j *Journal, damaged *journal.Damaged) ([]*journaltest.Writer, error) {
	var writers []*journaltest.Writer
	for log := range j.logs {
		writers = append(writers, &journaltest.Writer{Log: uint16(log), Place: j.logs[log].place, Token: j.logs[log].token})
	}
	for _, hit := range damaged.Logs {
		writers[hit.Log].Place, writers[hit.Log].Token = hit.Place, 0
	}
	save := func(times int) error {
		var snapshots []journal.Snapshot
		for _, w := range writers {
			snapshots = append(snapshots, journal.Snapshot{Log: w.Log, Place: w.Place, Token: w.Token, Keep: w.Place})
		}
		for range times {
			if err := j.Save(context.Background(), snapshots); err != nil {
				return err
			}
		}
		return nil
	}
	if err := save(2); err != nil {
		return nil, err
	}
	if err := j.Turn(context.Background()); err != nil {
		return nil, err
	}
	if err := save(1); err != nil {
		return nil, err
	}
	for _, lost := range j.GiveUp() {
		writers[lost.Log].Place, writers[lost.Log].Token = lost.Place, lost.Token
	}
	return writers, save(2)
}

// wounds are ways to damage the last but one, or the last, of several files.
var wounds = map[string]func(*testing.T, *disk.Memory, []*life) (hurt string){
	"a piece": func(t *testing.T, m *disk.Memory, lives []*life) string {
		l := lives[len(lives)-2]
		scribble(t, m, l.name, l.index[2].at+chunkFixed+rowSize+100, 1)
		return l.name
	},
	"a piece of the newest file": func(t *testing.T, m *disk.Memory, lives []*life) string {
		l := lives[len(lives)-1]
		scribble(t, m, l.name, l.index[1].at+chunkFixed+rowSize+100, 1)
		return l.name
	},
	"a chunk's head": func(t *testing.T, m *disk.Memory, lives []*life) string {
		l := lives[len(lives)-2]
		scribble(t, m, l.name, l.index[2].at+5, 1)
		return l.name
	},
	"a file's head": func(t *testing.T, m *disk.Memory, lives []*life) string {
		l := lives[len(lives)-2]
		write(t, m, l.name, 0, make([]byte, headSize(3)))
		return l.name
	},
	"the newest file's head": func(t *testing.T, m *disk.Memory, lives []*life) string {
		l := lives[len(lives)-1]
		write(t, m, l.name, 0, make([]byte, headSize(3)))
		return l.name
	},
}

// holds looks for a file's content in the journal and in lost/.
func holds(t *testing.T, fs disk.FS, held string) bool {
	t.Helper()
	for _, dir := range []string{"journal", "journal/lost"} {
		names, err := fs.List(dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if info, err := fs.Stat(path.Join(dir, name)); err != nil || info.IsDir || info.Size != int64(len(held)) {
				continue
			}
			if string(content(t, fs, path.Join(dir, name))) == held {
				return true
			}
		}
	}
	return false
}

// A log that damage stopped is written again once it is given up; the others go
// on, what damage hit lies in lost/ as it was, and no later start tells of it.
func TestAStoppedLogIsGivenUpAndGoesOn(t *testing.T) {
	for name, wound := range wounds {
		for _, remembered := range []bool{false, true} { // an earlier start found it, and saved that
			t.Run(fmt.Sprintf("%s, remembered: %t", name, remembered), func(t *testing.T) {
				memory, o := disk.NewMemory(), tiny()
				lives, _ := several(t, memory, o)
				hurt := wound(t, memory, lives)
				held := string(content(t, memory, hurt))
				j := open(t, memory, o)
				damaged, _ := damagedBy(t, j)
				if damaged == nil {
					t.Fatal("no damage is told")
				}
				if remembered {
					saveStopped(t, j, damaged)
					j.Close()
					j = open(t, memory, o)
					if damaged, _ = damagedBy(t, j); damaged == nil {
						t.Fatal("the next start tells of no damage")
					}
				}
				told := false
				for _, f := range j.Files() {
					told = told || f.Name == hurt && f.Aside
				}
				if !told {
					t.Errorf("%s is not told as damaged: %+v", hurt, j.Files())
				}
				writers, err := repaired(j, damaged)
				if err != nil {
					t.Fatal(err)
				}
				for _, hit := range damaged.Logs {
					if w := writers[hit.Log]; w.Place <= hit.Place {
						t.Errorf("log %d goes on at %d, and had %d", hit.Log, w.Place, hit.Place)
					}
				}
				appendAll(t, j, writers)
				j.Close()
				if string(content(t, memory, "journal/lost/"+strings.TrimPrefix(hurt, "journal/"))) != held {
					t.Errorf("%s was changed", hurt)
				}
				for range 2 {
					memory = memory.Crash(1)
					j = open(t, memory, o)
					if again, read := damagedBy(t, j); again != nil || read[0] == 0 || read[1] == 0 || read[2] == 0 {
						t.Fatalf("the next start: %v, read %v", again, read)
					}
					appendAll(t, j, writers)
					j.Close()
				}
			})
		}
	}
}

func appendAll(t *testing.T, j *Journal, writers []*journaltest.Writer) {
	t.Helper()
	for _, w := range writers {
		if got := journaltest.Append(t, j, w.Next("goes on")); got[0] != journal.OK {
			t.Fatalf("log %d at %d: %v", w.Log, w.Place, got[0])
		}
	}
}

// saveStopped is the checkpoint of a start that found damage.
func saveStopped(t *testing.T, j *Journal, damaged *journal.Damaged) {
	t.Helper()
	var snapshots []journal.Snapshot
	for log := range uint16(3) {
		snapshots = append(snapshots, journal.Snapshot{Log: log, Place: j.logs[log].place, Token: j.logs[log].token, Keep: j.logs[log].place})
	}
	for _, hit := range damaged.Logs {
		snapshots[hit.Log] = journal.Snapshot{Log: hit.Log, Place: hit.Place, Keep: hit.Place}
	}
	if err := j.Save(context.Background(), snapshots); err != nil {
		t.Fatal(err)
	}
}

// A power cut at every file call of a repair leaves the damage as it was told, or
// gone; what damage hit is there as it was; and a second repair ends it.
func TestAPowerCutAtEveryFileCallOfARepair(t *testing.T) {
	for name, wound := range wounds {
		t.Run(name, func(t *testing.T) {
			memory, o := disk.NewMemory(), tiny()
			lives, _ := several(t, memory, o)
			held := string(content(t, memory, wound(t, memory, lives)))
			calls := 1
			step := 1
			if testing.Short() {
				step = 7
			}
			for at := 1; at <= calls; at += step {
				disk1 := memory.Crash(0) // all of it is durable: a copy
				var left []*disk.Memory
				faulty := newCut(disk1, 2, func(c disk.Call) bool { return c.Number >= at })
				j, err := Open(faulty, "journal", o)
				if err == nil {
					if damaged, _ := damagedBy(t, j); damaged != nil {
						repaired(j, damaged) //nolint:errcheck // the power goes
					}
					j.Close()
				}
				if left = faulty.left; left == nil {
					break // the repair made fewer calls
				}
				calls = at + step
				for seed, after := range left {
					what := fmt.Sprintf("power cut before call %d, %s %s, seed %d", at, faulty.at.Op, faulty.at.Name, seed)
					if !holds(t, after, held) {
						t.Fatalf("%s: what damage hit is gone", what)
					}
					j := open(t, after, o)
					damaged, _ := damagedBy(t, j)
					writers := []*journaltest.Writer{}
					for log := range uint16(3) {
						writers = append(writers, &journaltest.Writer{Log: log, Place: j.logs[log].place, Token: j.logs[log].token})
					}
					if damaged != nil {
						if writers, err = repaired(j, damaged); err != nil {
							t.Fatalf("%s: a second repair: %v", what, err)
						}
					}
					appendAll(t, j, writers)
					j.Close()
					j = open(t, after, o)
					if damaged, _ := damagedBy(t, j); damaged != nil {
						t.Fatalf("%s: after the second repair: %v", what, damaged)
					}
					j.Close()
					if !holds(t, after, held) {
						t.Fatalf("%s: what damage hit is gone after the second repair", what)
					}
				}
			}
			if calls < 20 {
				t.Errorf("only %d calls were made: that proves little", calls)
			}
		})
	}
}

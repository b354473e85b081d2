package file

import (
	"testing"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// small makes files so small that a test goes through many.
func small(logs int) Options {
	return Options{Logs: logs, FileBytes: 1 << 20, FirstBytes: 256 << 10, MaxLive: 64 << 20}
}

func open(t *testing.T, fs disk.FS, o Options) *Journal {
	t.Helper()
	j, err := Open(fs, "journal", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func engine(fs func(*testing.T) disk.FS, tune func(*Options)) journaltest.Engine {
	options := func(logs int) Options {
		o := small(logs)
		tune(&o)
		return o
	}
	return journaltest.Engine{
		Open: func(t *testing.T, logs int) journal.Journal { return open(t, fs(t), options(logs)) },
		Reopen: func(t *testing.T, j journal.Journal) journal.Journal {
			old := j.(*Journal)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, old.fs, options(len(old.logs)))
		},
	}
}

func realDisk(t *testing.T) disk.FS {
	fs, err := disk.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestConformance(t *testing.T) {
	memory := func(*testing.T) disk.FS { return disk.NewMemory() }
	for name, e := range map[string]journaltest.Engine{
		"direct":    engine(realDisk, func(*Options) {}),
		"append":    engine(realDisk, func(o *Options) { o.NoDirect = true }),
		"os":        engine(realDisk, func(o *Options) { o.OSDurability = true }),
		"in memory": engine(memory, func(*Options) {}),
	} {
		t.Run(name, func(t *testing.T) { journaltest.Run(t, e) })
	}
}

package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"milena/storage/disk"
)

const seeds = 400

func put(t *testing.T, fs disk.FS, name, content string, at int64) disk.File {
	t.Helper()
	f, err := fs.Open(name, disk.Write|disk.Create)
	if err == nil {
		_, err = f.WriteAt([]byte(content), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// read gives a file's content; "none" if it is not there.
func read(t *testing.T, fs disk.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name, 0)
	if errors.Is(err, disk.ErrNotExist) {
		return "none"
	}
	must(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	must(t, err)
	return string(b)
}

// crashes counts what a crash leaves, over many seeds.
func crashes(m *disk.Memory, look func(*disk.Memory) string) map[string]int {
	found := make(map[string]int)
	for seed := range uint64(seeds) {
		found[look(m.Crash(seed))]++
	}
	return found
}

func wantOutcomes(t *testing.T, found map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if found[w] == 0 {
			t.Errorf("%q is never left; left is %v", w, found)
		}
		delete(found, w)
	}
	if len(found) > 0 {
		t.Errorf("left is also %v", found)
	}
}

func TestSyncedBytesSurviveAndOthersMay(t *testing.T) {
	for name, sync := range map[string]func(disk.File) error{"sync": disk.File.Sync, "datasync": disk.File.Datasync} {
		t.Run(name, func(t *testing.T) {
			m := disk.NewMemory()
			f := put(t, m, "file", "one", 0)
			must(t, sync(f), m.SyncDir("."))
			wantOutcomes(t, crashes(m, func(after *disk.Memory) string { return read(t, after, "file") }), "one")
			put(t, m, "file", "TWO", 0)
			found := crashes(m, func(after *disk.Memory) string { return read(t, after, "file") })
			wantOutcomes(t, found, "one", "TWO", "Tne", "TWe") // all, none, or torn at any byte
		})
	}
}

// Of each block it is the coin's, whatever became of the others.
func TestUnsyncedBlocksAreLostOneByOne(t *testing.T) {
	m := disk.NewMemory()
	blocks := func(letter string) string { return strings.Repeat(letter, 3*disk.Align) }
	f := put(t, m, "file", blocks("o"), 0)
	must(t, f.Sync(), m.SyncDir("."))
	put(t, m, "file", blocks("n"), 0)
	torn := 0
	found := crashes(m, func(after *disk.Memory) string {
		b, shape := read(t, after, "file"), ""
		for at := 0; at < len(b); at += disk.Align {
			switch block := b[at : at+disk.Align]; {
			case strings.Trim(block, "n") == "":
				shape += "n"
			case strings.Trim(block, "o") == "":
				shape += "o"
			case strings.TrimLeft(strings.TrimLeft(block, "n"), "o") == "":
				torn++
				shape += "t"
			default:
				t.Fatal("a block is neither old nor new nor torn once")
			}
		}
		return strings.ReplaceAll(shape, "t", "n")
	})
	wantOutcomes(t, found, "ooo", "oon", "ono", "onn", "noo", "non", "nno", "nnn")
	if torn == 0 {
		t.Error("no block was torn")
	}
}

func TestAGrownFileMayKeepItsOldSize(t *testing.T) {
	m := disk.NewMemory()
	f := put(t, m, "file", "ab", 0)
	must(t, f.Sync(), m.SyncDir("."))
	put(t, m, "file", "cd", 2)
	sizes := crashes(m, func(after *disk.Memory) string { return fmt.Sprint(len(read(t, after, "file"))) })
	wantOutcomes(t, sizes, "2", "4")
	for seed := range uint64(seeds) {
		if got := read(t, m.Crash(seed), "file"); !strings.HasPrefix(got, "ab") {
			t.Fatalf("synced bytes are lost: %q", got)
		}
	}
}

func TestANameNeedsItsDirectorySynced(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.MakeDir("dir"))
	f := put(t, m, "dir/file", "x", 0)
	must(t, f.Sync())
	look := func(after *disk.Memory) string { return read(t, after, "dir/file") }
	wantOutcomes(t, crashes(m, look), "x", "none")
	must(t, m.SyncDir(".")) // another directory
	wantOutcomes(t, crashes(m, look), "x", "none")
	must(t, m.SyncDir("dir"))
	wantOutcomes(t, crashes(m, look), "x")
	must(t, m.Remove("dir/file"))
	wantOutcomes(t, crashes(m, look), "x", "none")
	must(t, m.SyncDir("dir"))
	wantOutcomes(t, crashes(m, look), "none")
}

// A rename is one change: the old file or the new one is there, never neither.
func TestARenameIsOneChange(t *testing.T) {
	for _, to := range []string{"file", "dir/file"} {
		t.Run(to, func(t *testing.T) {
			m := disk.NewMemory()
			must(t, m.MakeDir("dir"))
			must(t, put(t, m, to, "old", 0).Sync(), put(t, m, "file.new", "new", 0).Sync(), m.SyncDir("."), m.SyncDir("dir"))
			must(t, m.Rename("file.new", to))
			look := func(after *disk.Memory) string { return read(t, after, to) + " " + read(t, after, "file.new") }
			wantOutcomes(t, crashes(m, look), "old new", "new none")
			must(t, m.SyncDir("."), m.SyncDir("dir"))
			wantOutcomes(t, crashes(m, look), "new none")
		})
	}
}

// The order of changes in one directory is kept: what came later is not there
// without what came before.
func TestChangesOfADirectoryAreLostFromTheEnd(t *testing.T) {
	m := disk.NewMemory()
	for _, name := range []string{"a", "b", "c"} {
		put(t, m, name, "", 0)
	}
	found := crashes(m, func(after *disk.Memory) string {
		names, err := after.List(".")
		must(t, err)
		return strings.Join(names, "")
	})
	wantOutcomes(t, found, "", "a", "ab", "abc")
}

func TestDirectWritesAreDurableAtOnce(t *testing.T) {
	m := disk.NewMemory()
	f, err := m.Open("file", disk.Write|disk.Create|disk.Direct)
	must(t, err, m.SyncDir("."))
	block := bytes.Repeat([]byte("d"), disk.Align)
	_, err = f.WriteAt(block, 0)
	must(t, err)
	wantOutcomes(t, crashes(m, func(after *disk.Memory) string { return read(t, after, "file") }), string(block))
}

// The same seed leaves the same, and the disk itself goes on untouched.
func TestACrashIsItsSeeds(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.MakeDir("a/b/c"))
	for i := range 20 {
		put(t, m, fmt.Sprintf("a/b/c/%d", i), strings.Repeat("x", i*1000), 0)
	}
	must(t, m.Rename("a/b", "a/z"))
	everything := func(m *disk.Memory) string {
		var all strings.Builder
		var walk func(dir string)
		walk = func(dir string) {
			names, err := m.List(dir)
			must(t, err)
			for _, name := range names {
				name = dir + "/" + name
				info, err := m.Stat(name)
				must(t, err)
				fmt.Fprintf(&all, "%s %d\n", name, info.Size)
				if info.IsDir {
					walk(name)
				} else {
					all.WriteString(read(t, m, name))
				}
			}
		}
		walk(".")
		return all.String()
	}
	before := everything(m)
	for seed := range uint64(50) {
		once, again := everything(m.Crash(seed)), everything(m.Crash(seed))
		if once != again {
			t.Fatalf("seed %d leaves\n%s\nand\n%s", seed, once, again)
		}
	}
	if everything(m) != before {
		t.Error("a crash changed the disk that goes on")
	}
}

func TestACrashLetsGoOfTheLock(t *testing.T) {
	m := disk.NewMemory()
	_, err := m.Lock("lock")
	must(t, err)
	if _, err := m.Crash(1).Lock("lock"); err != nil {
		t.Errorf("after a crash: %v", err)
	}
}

func TestAFaultIsTheCalls(t *testing.T) {
	var calls []disk.Call
	fail := ""
	fs := disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
		calls = append(calls, c)
		if c.Op == fail {
			return disk.ErrNoSpace
		}
		return nil
	})
	must(t, fs.MakeDir("dir"))
	f := put(t, fs, "dir/file", "content", 0)
	buffer := make([]byte, 4)
	_, err := f.ReadAt(buffer, 3)
	must(t, err, f.Sync(), f.Datasync(), f.Truncate(5), f.WriteVec([][]byte{{1}, {2, 3}}, 5), fs.SyncDir("dir"), fs.Rename("dir/file", "dir/other"))
	_, err = fs.List("dir")
	must(t, err)
	_, err = fs.Stat("dir")
	must(t, err, fs.Remove("dir/other"))
	want := []disk.Call{
		{Op: "makedir", Name: "dir"}, {Op: "open", Name: "dir/file"}, {Op: "write", Name: "dir/file", Bytes: 7},
		{Op: "read", Name: "dir/file", At: 3, Bytes: 4}, {Op: "sync", Name: "dir/file"}, {Op: "sync", Name: "dir/file"},
		{Op: "truncate", Name: "dir/file", At: 5}, {Op: "write", Name: "dir/file", At: 5, Bytes: 3}, {Op: "syncdir", Name: "dir"},
		{Op: "rename", Name: "dir/file"}, {Op: "list", Name: "dir"}, {Op: "stat", Name: "dir"}, {Op: "remove", Name: "dir/other"},
	}
	if len(calls) != len(want) || fs.Calls() != len(want) {
		t.Fatalf("%d calls, want %d: %+v", len(calls), len(want), calls)
	}
	for i := range want {
		want[i].Number = i + 1
		if calls[i] != want[i] {
			t.Errorf("call %+v, want %+v", calls[i], want[i])
		}
	}
	f = put(t, fs, "dir/file", "content", 0)
	for op, call := range map[string]func() error{
		"write":    func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"sync":     f.Datasync,
		"truncate": func() error { return f.Truncate(0) },
		"remove":   func() error { return fs.Remove("dir/file") },
		"rename":   func() error { return fs.Rename("dir/file", "dir/other") },
	} {
		fail = op
		if err := call(); !errors.Is(err, disk.ErrNoSpace) || !strings.Contains(err.Error(), op+" dir/file") {
			t.Errorf("%s: %v, want %v, naming the call and the file", op, err, disk.ErrNoSpace)
		}
		fail = ""
		if got := read(t, fs, "dir/file"); got != "content" {
			t.Errorf("after a %s that failed the file holds %q", op, got)
		}
	}
}

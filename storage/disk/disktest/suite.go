// Package disktest is what engines expect of a disk, as tests: the machine's and
// the one in memory pass this suite.
package disktest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"unsafe"

	"milena/storage/disk"
)

// Run runs the suite against fresh disks.
func Run(t *testing.T, open func(*testing.T) disk.FS) {
	for name, test := range map[string]func(*testing.T, disk.FS){
		"what is not there is told as such":          absent,
		"no name leads out of the root":              outside,
		"bytes are read as they were written":        bytesComeBack,
		"many buffers are one write":                 vectors,
		"a file is cut and grown":                    truncate,
		"exclusive means once":                       exclusive,
		"a file opened for reading stays as it is":   readOnly,
		"directories are made with their parents":    directories,
		"a rename replaces, and takes what is in it": rename,
		"an open file outlives its name":             outlives,
		"direct writes are whole blocks":             direct,
		"the lock is one process's":                  lock,
		"syncs and hints are taken":                  syncs,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func create(t *testing.T, fs disk.FS, name string, content string) disk.File {
	t.Helper()
	f, err := fs.Open(name, disk.Write|disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if n, err := f.WriteAt([]byte(content), 0); err != nil || n != len(content) {
		t.Fatalf("wrote %d of %d bytes, %v", n, len(content), err)
	}
	return f
}

func content(t *testing.T, fs disk.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func list(t *testing.T, fs disk.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func absent(t *testing.T, fs disk.FS) {
	_, err := fs.Open("none", 0)
	is(t, "open", err, disk.ErrNotExist)
	_, err = fs.Open("none/file", disk.Write|disk.Create)
	is(t, "create in no directory", err, disk.ErrNotExist)
	_, err = fs.Stat("none")
	is(t, "stat", err, disk.ErrNotExist)
	_, err = fs.List("none")
	is(t, "list", err, disk.ErrNotExist)
	is(t, "remove", fs.Remove("none"), disk.ErrNotExist)
	is(t, "rename", fs.Rename("none", "other"), disk.ErrNotExist)
	is(t, "sync", fs.SyncDir("none"), disk.ErrNotExist)
	create(t, fs, "file", "")
	is(t, "rename into no directory", fs.Rename("file", "none/file"), disk.ErrNotExist)
	if names := list(t, fs, "."); !slices.Equal(names, []string{"file"}) {
		t.Errorf("the root holds %q", names)
	}
}

func outside(t *testing.T, fs disk.FS) {
	create(t, fs, "file", "")
	for _, name := range []string{"../out", "/out", "a/../../out", ".."} {
		if _, err := fs.Open(name, disk.Write|disk.Create); err == nil {
			t.Errorf("opened %q", name)
		}
		if err := fs.MakeDir(name); err == nil {
			t.Errorf("made %q", name)
		}
		if err := fs.Rename("file", name); err == nil {
			t.Errorf("renamed to %q", name)
		}
		if err := fs.Remove(name); err == nil {
			t.Errorf("removed %q", name)
		}
		if _, err := fs.List(name); err == nil {
			t.Errorf("listed %q", name)
		}
	}
}

func bytesComeBack(t *testing.T, fs disk.FS) {
	f := create(t, fs, "file", "0123456789")
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 3); n != 4 || err != nil || string(b) != "3456" {
		t.Errorf("read %d %q, %v", n, b, err)
	}
	if n, err := f.ReadAt(b, 8); n != 2 || err != io.EOF || string(b[:2]) != "89" {
		t.Errorf("at the end: read %d %q, %v; want 2 and EOF", n, b[:n], err)
	}
	for _, at := range []int64{10, 99} {
		if n, err := f.ReadAt(b, at); n != 0 || err != io.EOF {
			t.Errorf("at %d of 10: read %d, %v; want 0 and EOF", at, n, err)
		}
	}
	if _, err := f.WriteAt([]byte("far"), 20); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("AB"), 1); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, fs, "file"), "0AB3456789"+string(make([]byte, 10))+"far"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	if size, err := f.Size(); size != 23 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if info, err := fs.Stat("file"); info.Size != 23 || info.IsDir || err != nil {
		t.Errorf("stat %+v, %v", info, err)
	}
}

func vectors(t *testing.T, fs disk.FS) {
	f := create(t, fs, "file", "head")
	var bufs [][]byte
	var want bytes.Buffer
	want.WriteString("head")
	for i := range 2500 { // more than one call of the system takes
		b := bytes.Repeat([]byte{byte(i)}, i%7)
		bufs = append(bufs, b)
		want.Write(b)
	}
	kept := slices.Clone(bufs)
	if err := f.WriteVec(bufs, 4); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "file"); got != want.String() {
		t.Errorf("the file holds %d bytes that are not what was written, %d", len(got), want.Len())
	}
	for i := range bufs {
		if !bytes.Equal(bufs[i], kept[i]) || len(bufs[i]) != i%7 {
			t.Fatalf("the caller's buffer %d was changed", i)
		}
	}
	if err := f.WriteVec(nil, 0); err != nil {
		t.Errorf("a write of nothing: %v", err)
	}
}

func truncate(t *testing.T, fs disk.FS) {
	f := create(t, fs, "file", "0123456789")
	if err := f.Truncate(4); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "file"); got != "0123" {
		t.Errorf("cut to 4: %q", got)
	}
	if err := f.Truncate(6); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "file"); got != "0123\x00\x00" {
		t.Errorf("grown to 6: %q", got)
	}
}

func exclusive(t *testing.T, fs disk.FS) {
	f, err := fs.Open("file", disk.Write|disk.Create|disk.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = fs.Open("file", disk.Write|disk.Create|disk.Exclusive)
	is(t, "once more", err, disk.ErrExist)
}

func readOnly(t *testing.T, fs disk.FS) {
	create(t, fs, "file", "content")
	f, err := fs.Open("file", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("wrote to it")
	}
	if err := f.WriteVec([][]byte{[]byte("x")}, 0); err == nil {
		t.Error("wrote buffers to it")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("cut it")
	}
	if got := content(t, fs, "file"); got != "content" {
		t.Errorf("it holds %q", got)
	}
}

func directories(t *testing.T, fs disk.FS) {
	for range 2 { // there already is no error
		if err := fs.MakeDir("a/b/c"); err != nil {
			t.Fatal(err)
		}
	}
	create(t, fs, "a/b/file", "x")
	if names := list(t, fs, "a/b"); !slices.Equal(names, []string{"c", "file"}) {
		t.Errorf("a/b holds %q", names)
	}
	if info, err := fs.Stat("a/b"); err != nil || !info.IsDir {
		t.Errorf("stat %+v, %v", info, err)
	}
	if err := fs.MakeDir("a/b/file/d"); err == nil {
		t.Error("made a directory in a file")
	}
	if err := fs.Remove("a/b"); err == nil {
		t.Error("removed a directory that is not empty")
	}
	for _, name := range []string{"a/b/file", "a/b/c", "a/b"} {
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if names := list(t, fs, "a"); len(names) != 0 {
		t.Errorf("a holds %q", names)
	}
}

func rename(t *testing.T, fs disk.FS) {
	create(t, fs, "old", "old")
	create(t, fs, "new", "new")
	if err := fs.Rename("new", "old"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "old"); got != "new" {
		t.Errorf("the file holds %q", got)
	}
	_, err := fs.Stat("new")
	is(t, "the name it had", err, disk.ErrNotExist)
	if err := fs.MakeDir("a/b"); err != nil {
		t.Fatal(err)
	}
	create(t, fs, "a/b/file", "deep")
	if err := fs.Rename("a", "z"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "z/b/file"); got != "deep" {
		t.Errorf("what was in it holds %q", got)
	}
	if names := list(t, fs, "."); !slices.Equal(names, []string{"old", "z"}) {
		t.Errorf("the root holds %q", names)
	}
}

func outlives(t *testing.T, fs disk.FS) {
	f := create(t, fs, "file", "content")
	if err := fs.Remove("file"); err != nil {
		t.Fatal(err)
	}
	create(t, fs, "file", "another")
	if _, err := f.WriteAt([]byte("C"), 0); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 7)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "Content" {
		t.Errorf("the removed file reads %q, %v", b, err)
	}
	if got := content(t, fs, "file"); got != "another" {
		t.Errorf("the name's new file holds %q", got)
	}
}

func direct(t *testing.T, fs disk.FS) {
	f, err := fs.Open("file", disk.Write|disk.Create|disk.Direct)
	if err != nil {
		t.Skipf("this disk takes no direct writes: %v", err)
	}
	defer f.Close()
	block := make([]byte, 2*disk.Align)
	for address(block)%disk.Align != 0 {
		block = block[1:]
	}
	block = block[:disk.Align]
	copy(block, "direct")
	if _, err := f.WriteAt(block, disk.Align); err != nil {
		t.Fatal(err)
	}
	if got := content(t, fs, "file"); got != string(make([]byte, disk.Align))+string(block) {
		t.Errorf("the file holds %d bytes that are not what was written", len(got))
	}
	if _, err := f.WriteAt(block[:100], 0); err == nil {
		t.Error("a write of 100 bytes passed for whole blocks")
	}
	if _, err := f.WriteAt(block, 100); err == nil {
		t.Error("a write at 100 passed for whole blocks")
	}
}

func lock(t *testing.T, fs disk.FS) {
	held, err := fs.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = fs.Lock("lock")
	is(t, "while it is held", err, disk.ErrLocked)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := fs.Lock("lock")
	if err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func syncs(t *testing.T, fs disk.FS) {
	f := create(t, fs, "file", "content")
	for what, call := range map[string]func() error{
		"datasync": f.Datasync, "sync": f.Sync,
		"sync the directory": func() error { return fs.SyncDir(".") },
		"start writeback":    func() error { return f.StartWriteback(0, 7) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	space, err := fs.Space()
	if err != nil || space.Total == 0 || space.Free > space.Total {
		t.Errorf("space %+v, %v", space, err)
	}
	if fd, ok := f.Descriptor(); ok && fd == 0 {
		t.Error("a file has the descriptor of the standard input")
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

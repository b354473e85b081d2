package disk_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"milena/storage/disk"
	"milena/storage/disk/disktest"
)

func machine(t *testing.T) disk.FS {
	t.Helper()
	fs, err := disk.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestConformance(t *testing.T) {
	for name, open := range map[string]func(*testing.T) disk.FS{
		"machine": machine,
		"memory":  func(*testing.T) disk.FS { return disk.NewMemory() },
		"faulty, without a fault": func(*testing.T) disk.FS {
			return disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) { disktest.Run(t, open) })
	}
}

func TestARootThatIsNotThere(t *testing.T) {
	if _, err := disk.OS(filepath.Join(t.TempDir(), "none")); !errors.Is(err, disk.ErrNotExist) {
		t.Errorf("%v, want %v", err, disk.ErrNotExist)
	}
}

// holder is the test binary as another process: it locks the directory that its
// environment names, says so, and waits to be ended.
const holder = "MILENA_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holder); dir != "" {
		fs, err := disk.OS(dir)
		if err == nil {
			_, err = fs.Lock("lock")
		}
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("held\n")
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // until the test ends
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The lock is another process's until that process is gone, however it went.
func TestTheLockEndsWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), holder+"="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	fs, err := disk.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = fs.Lock("lock"); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("while another process holds it: %v, want %v, naming %s", err, disk.ErrLocked, dir)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	other.Wait() //nolint:errcheck // it was killed
	held, err := fs.Lock("lock")
	if err != nil {
		t.Fatalf("after the other process died: %v", err)
	}
	held.Close()
}

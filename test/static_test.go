package test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The command of the README, and of make build, gives a file that runs on any
// Linux: no interpreter, no library. Built with cgo, Go's own net package would
// ask for libc.
func TestTheBinaryIsStatic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "milena")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", name, "./cmd/milena")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a segment %v", segment.Type)
		}
	}
}

//go:build e2e

package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bug is planted by putting `to` in the place of `from`, which occurs once.
type bug struct {
	name     string
	file     string
	from, to string
	caught   []catch // by each of these
}

// catch is a package's tests that must fail while a bug is awake.
type catch struct{ in, tests string }

// awake is the environment variable that wakes a bug.
const awake = "MILENA_PLANTED_BUG"

// planted is what the planted text asks whether it is awake.
const planted = `package planted

import "os"

var awake = os.Getenv("` + awake + `")

func Bug(name string) bool { return name == awake }
`

func TestEveryPlantedBugIsCaught(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	built := build(t, root, plant(t, root))
	t.Run("asleep", func(t *testing.T) {
		for in, binary := range built {
			t.Run(in, func(t *testing.T) {
				t.Parallel()
				for _, tests := range testsOf(in) {
					if out, failed := run(t, root, in, binary, tests, "none"); failed {
						t.Errorf("its tests fail while every bug sleeps:\n%s", out)
					}
				}
			})
		}
	})
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if len(b.caught) == 0 {
				t.Error("nobody has to catch it")
			}
			for _, c := range b.caught {
				out, failed := run(t, root, c.in, built[c.in], c.tests, b.name)
				if !failed {
					t.Errorf("not caught by %s in %s:\n%s", c.tests, c.in, out)
				}
			}
		})
	}
}

var clause = regexp.MustCompile(`(?m)^package \w+$`)

// plant writes the changed files, and the overlay that names them.
func plant(t *testing.T, root string) (overlay string) {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	put := func(file, text string) {
		name := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if known := replace[file]; known != "" {
			name = known
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[file] = name
	}
	put(filepath.Join(root, "test/mutants/planted/planted.go"), planted)
	for _, b := range bugs {
		file := filepath.Join(root, b.file)
		from := file
		if replace[file] != "" {
			from = replace[file]
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), b.from); n != 1 {
			t.Errorf("%s: %s has %q %d times, want once", b.name, b.file, b.from, n)
			continue
		}
		if from == file {
			at := clause.FindIndex(text)
			if at == nil {
				t.Fatalf("%s has no package clause", b.file)
			}
			text = slices.Concat(text[:at[1]], []byte("\n\nimport \"milena/test/mutants/planted\""), text[at[1]:])
		}
		to := strings.ReplaceAll(b.to, "PLANTED", fmt.Sprintf("planted.Bug(%q)", b.name))
		put(file, strings.Replace(string(text), b.from, to, 1))
	}
	if t.Failed() {
		t.FailNow()
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// build compiles the tests of every package that has to catch something.
func build(t *testing.T, root, overlay string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	built := make(map[string]string)
	for _, b := range bugs {
		for _, c := range b.caught {
			if built[c.in] != "" {
				continue
			}
			binary := filepath.Join(dir, strings.NewReplacer("/", "-", ".", "").Replace(c.in)+".test")
			cmd := exec.Command("go", "test", "-c", "-tags", "e2e", "-overlay", overlay, "-vet=off", "-o", binary, c.in)
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("the tests of %s do not compile with the bugs planted: %v\n%s", c.in, err, out)
			}
			built[c.in] = binary
		}
	}
	return built
}

// testsOf is all that has to catch something in a package, in as few patterns
// as there can be: those of subtests do not add up.
func testsOf(in string) []string {
	var all, whole []string
	for _, b := range bugs {
		for _, c := range b.caught {
			switch {
			case c.in != in:
			case strings.Contains(c.tests, "/"):
				all = append(all, c.tests)
			default:
				whole = append(whole, c.tests)
			}
		}
	}
	if len(whole) > 0 {
		all = append(all, strings.Join(whole, "|"))
	}
	return all
}

// run runs tests of a package while one bug is awake.
func run(t *testing.T, root, in, binary, tests, bug string) (output string, failed bool) {
	t.Helper()
	cmd := exec.Command(binary, "-test.short", "-test.timeout", "4m", "-test.parallel", "32", "-test.run", tests)
	cmd.Dir = filepath.Join(root, in)
	cmd.Env = append(os.Environ(), awake+"="+bug)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "no tests to run") {
		t.Fatalf("%s has no test %s", in, tests)
	}
	return string(out), err != nil
}

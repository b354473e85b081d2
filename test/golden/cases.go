//go:build e2e

package golden

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Case is one case: steps in order.
type Case struct {
	Name  string // file/name
	Own   bool   // entries of lists that are not the case's own are dropped
	Steps []Step
}

// Slug is the beginning of the names of the case's own topics and groups.
func (c Case) Slug() string { return strings.ReplaceAll(strings.ToLower(c.Name), "/", "-") }

// Step is one line of a case, with what belongs to it.
type Step struct {
	Verb string   // topic, produce, conn, auth, scram, send, raw, wait, fin, close, recv
	Args []string // the words behind it
	Want string   // recv: "< HEX", "closed", …
	Line int
}

// arg is the n-th word, or nothing.
func (s Step) arg(n int) string {
	if n < len(s.Args) {
		return s.Args[n]
	}
	return ""
}

// option is the value behind NAME=, or nothing.
func (s Step) option(name string) string {
	for _, a := range s.Args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
	}
	return ""
}

func (s Step) has(word string) bool {
	for _, a := range s.Args {
		if a == word {
			return true
		}
	}
	return false
}

// key is the API and version that an answer to this step has; false: it is not decoded.
func (s Step) key() (key, version int16, ok bool) {
	k, err := strconv.Atoi(s.option("key"))
	if err != nil {
		return 0, 0, false
	}
	v, err := strconv.Atoi(s.option("v"))
	return int16(k), int16(v), err == nil
}

const lineMax = 4 << 20 // bytes of one line: a frame in hex

// ReadCases reads every file of a folder.
func ReadCases(dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []Case
	for _, file := range files {
		cases, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		all = append(all, cases...)
	}
	return all, nil
}

func readFile(file string) ([]Case, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var cases []Case
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, lineMax)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, Case{Name: name})
			continue
		}
		if line == "" {
			continue
		}
		if len(cases) == 0 {
			return nil, fmt.Errorf("line %d stands before the first case", n)
		}
		cases[len(cases)-1].read(line, n)
	}
	return cases, lines.Err()
}

func (c *Case) read(line string, n int) {
	if outcome, ok := strings.CutPrefix(line, "  "); ok {
		if last := len(c.Steps) - 1; last >= 0 && c.Steps[last].Want == "" {
			c.Steps[last].Want = outcome
		}
		return
	}
	words := strings.Fields(line)
	switch words[0] {
	case "about":
	case "own":
		c.Own = true
	default:
		c.Steps = append(c.Steps, Step{Verb: words[0], Args: words[1:], Line: n})
	}
}

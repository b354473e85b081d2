// Package machinetest runs transcripts: files in which commands to a machine
// stand with what it answers.
//
//	# a comment, or any number of them
//	join a timeout=10s
//	----
//	record generation 1: a
//	a: joined generation 1
//
// A command is a line above four dashes; what stands below them, up to an empty
// line, is what it answers. `go test -update` writes the answers anew.
package machinetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the transcripts' answers anew")

// Command is a line of a transcript.
type Command struct {
	Verb  string
	Words []string // behind the verb, without an =
	t     *testing.T
	line  string
	named map[string]string
}

// RunAll runs every transcript in testdata, each with a machine of its own:
// begin makes one, and gives what a command's answer is, in lines.
func RunAll(t *testing.T, begin func(*testing.T) (answer func(Command) []string)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { run(t, file, begin(t)) })
	}
}

func run(t *testing.T, file string, answer func(Command) []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	commands := 0
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i] + "\n")
		if lines[i] != "----" {
			continue
		}
		if i == 0 {
			t.Fatalf("%s:1: no command above the dashes", file)
		}
		commands++
		command, at := lines[i-1], i
		var want []string
		for i++; i < len(lines) && lines[i] != ""; i++ {
			want = append(want, lines[i])
		}
		got := answer(parse(t, command))
		for _, line := range got {
			out.WriteString(line + "\n")
		}
		out.WriteString("\n")
		if !*update && !slices.Equal(got, want) {
			t.Fatalf("%s:%d: %s\nanswers\n\t%s\nwant\n\t%s", file, at, command, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	if commands == 0 {
		t.Fatalf("%s holds no command", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(t *testing.T, line string) Command {
	t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 {
		t.Fatal("an empty command")
	}
	c := Command{Verb: words[0], t: t, line: line, named: make(map[string]string)}
	for _, word := range words[1:] {
		if name, value, ok := strings.Cut(word, "="); ok {
			c.named[name] = value
		} else {
			c.Words = append(c.Words, word)
		}
	}
	return c
}

// Fail ends the test: the command makes no sense.
func (c Command) Fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s: %s", c.line, fmt.Sprintf(format, args...))
}

// Word gives the nth word behind the verb.
func (c Command) Word(n int) string {
	c.t.Helper()
	if n >= len(c.Words) {
		c.Fail("it has %d words behind its verb, not %d", len(c.Words), n+1)
	}
	return c.Words[n]
}

// Has says that a bare word is there, or a named value.
func (c Command) Has(name string) bool {
	_, named := c.named[name]
	return named || slices.Contains(c.Words, name)
}

// Text gives a named value, or else another.
func (c Command) Text(name, otherwise string) string {
	if v, ok := c.named[name]; ok {
		return v
	}
	return otherwise
}

// Int gives a named number, or else another.
func (c Command) Int(name string, otherwise int64) int64 {
	c.t.Helper()
	v, ok := c.named[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		c.Fail("%v", err)
	}
	return n
}

// Duration gives a named duration, or else another.
func (c Command) Duration(name string, otherwise time.Duration) time.Duration {
	c.t.Helper()
	v, ok := c.named[name]
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		c.Fail("%v", err)
	}
	return d
}

// List gives a named list, split at commas; empty if it is not there.
func (c Command) List(name string) []string {
	v, ok := c.named[name]
	if !ok || v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

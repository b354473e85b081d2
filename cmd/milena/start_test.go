package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNextIsWhatAPersonCanType(t *testing.T) {
	for program, want := range map[string]string{
		"milena":                          "milena",
		"./milena":                        "./milena",
		"/tmp/go-build12/b001/exe/milena": "go run ./cmd/milena",
		"/root/.cache/go-build/ab/abcdef-d/milena": "go run ./cmd/milena",
		"/usr/local/bin/milena":                    "/usr/local/bin/milena",
	} {
		if got := (&console{program: program}).calledAs(); got != want {
			t.Errorf("called as %s: %q, want %q", program, got, want)
		}
	}
}

func TestAnInstanceThatCannotStartSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	plain := file(t, "plain", "no directory")
	if err := os.WriteFile(filepath.Join(dir, "instance"), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		code int
		says string
		args []string
	}{
		{exitFailed, "not a directory; choose one that you may write to, with --data DIR", []string{"--data", plain}},
		{exitFailed, `its first line is not "milena instance"; put back a copy`, []string{"--data", dir}},
		{exitUsage, "anybody who reaches it could read and write everything; use SASL_SSL", []string{"--data", dir + "/x", "-c", "listeners=PLAINTEXT://:0"}},
		{exitUsage, "open " + plain + "s: no such file", []string{"--data", dir + "/x", "--secure", "--admin-password-file", plain + "s"}},
		{exitUsage, "log.dirs names 2 directories: one is supported", []string{"-c", "log.dirs=a,b"}},
		{exitUsage, "listener FOO has no protocol: add FOO:PROTOCOL to listener.security.protocol.map", []string{"-c", "listeners=FOO://127.0.0.1:0"}},
	}
	for _, test := range tests {
		r := shell{t: t}.milena(append([]string{"start"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.err, test.says) {
			t.Errorf("milena start %v: exit code %d, want %d; says\n%swant %q", test.args, r.code, test.code, r.err, test.says)
		}
	}
}

func TestAKeyThatIsMisspeltIsWarnedOfWithTheNearest(t *testing.T) {
	properties := file(t, "server.properties", "num.partition=3\n")
	r := shell{t: t}.milena("start", "--config", properties, "--data", t.TempDir(), "-c", "listeners=PLAINTEXT://203.0.113.77:0", "--insecure")
	if r.code != exitUsage {
		t.Errorf("exit code %d, want %d", r.code, exitUsage)
	}
	contains(t, r.err, "did you mean num.partitions?", "server.properties, line 1")
}

// One variable says to all verbs where an instance lies; flags and log.dirs beat it.
func TestWhereTheDataLies(t *testing.T) {
	named, other := file(t, "named", ""), file(t, "other", "") // no directories: each start fails and says which
	tests := []struct {
		want string
		env  []string
		args []string
	}{
		{named, []string{"MILENA_DATA=" + named}, nil},
		{other, []string{"MILENA_DATA=" + named, "MILENA_LOG_DIRS=" + other}, nil},
		{other, []string{"MILENA_DATA=" + named}, []string{"--data", other}},
		{other, []string{"MILENA_DATA=" + named, "MILENA_LOG_DIRS=" + named}, []string{"-c", "log.dirs=" + other}},
	}
	for _, test := range tests {
		r := shell{t: t, env: test.env}.milena(append([]string{"start"}, test.args...)...)
		contains(t, r.err, "data directory "+test.want+":")
	}
}

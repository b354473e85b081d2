package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// broker is a Kafka in this process.
func broker(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// result is what a command left behind.
type result struct {
	out, err string
	code     int
}

// shell runs commands against one broker.
type shell struct {
	t        *testing.T
	broker   string
	in       string
	env      []string
	terminal bool
	ctx      context.Context
}

const commandLimit = 20 * time.Second

func (s shell) milena(args ...string) result {
	s.t.Helper()
	ctx := s.ctx
	if ctx == nil {
		ctx = s.t.Context()
	}
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	var out, talk safeBuffer
	c := &console{in: strings.NewReader(s.in), out: &out, err: &talk, outTerminal: s.terminal}
	if s.broker != "" {
		c.environ = append(c.environ, "MILENA_BROKERS="+s.broker)
	}
	c.environ = append(append(c.environ, "NO_COLOR=1"), s.env...)
	code := run(ctx, c, args)
	return result{out.String(), talk.String(), code}
}

// ok runs a command that must work and gives what it wrote.
func (s shell) ok(args ...string) string {
	s.t.Helper()
	r := s.milena(args...)
	if r.code != exitOK {
		s.t.Fatalf("milena %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// safeBuffer may be read while it is written.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// golden compares with a file in testdata; UPDATE=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

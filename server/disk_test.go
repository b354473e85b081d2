package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/storage/disk"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hanging is a disk whose writes and syncs wait while it hangs.
type hanging struct {
	mu   sync.Mutex
	wait chan struct{} // nil: it does not hang
}

func (h *hanging) under(fs disk.FS) disk.FS {
	return disk.NewFaulty(fs, func(c disk.Call) error {
		h.mu.Lock()
		wait := h.wait
		h.mu.Unlock()
		if wait != nil && (c.Op == "write" || c.Op == "sync" || c.Op == "syncdir") {
			<-wait
		}
		return nil
	})
}

func (h *hanging) hang() (end func()) {
	wait := make(chan struct{})
	h.mu.Lock()
	h.wait = wait
	h.mu.Unlock()
	return sync.OnceFunc(func() {
		h.mu.Lock()
		h.wait = nil
		h.mu.Unlock()
		close(wait)
	})
}

// The disk hangs for 5 s, and producers have used up the whole budget of bytes
// under way: heartbeats, metadata and fetches of what is durable are answered
// all the same, over connections of their own.
func TestHeartbeatsPassWhileTheDiskHangs(t *testing.T) {
	const hangs, prompt = 5 * time.Second, 3 * time.Second // on a busy machine; what is held up waits until the test gives up
	const inFlightBytes = 64 << 20                         // wire's
	var h hanging
	s := start(t, Options{Config: configure(t, t.TempDir()), disk: h.under})
	ctx := within(t, 60*time.Second)
	c := client(t, s, kgo.ConsumerGroup("group"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("durable")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if records := c.PollFetches(ctx).Records(); len(records) != 1 {
		t.Fatalf("the group's member read %d records", len(records))
	}
	member, generation := c.GroupMetadata()

	end := h.hang()
	defer end()
	began := time.Now()
	var waiting sync.WaitGroup
	var done, failed atomic.Int64
	const each = 900 << 10
	for range 2 * inFlightBytes / each { // more than the budget holds
		p := client(t, s, kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableIdempotentWrite())
		waiting.Add(1)
		go p.Produce(ctx, &kgo.Record{Topic: "orders", Value: make([]byte, each)}, func(_ *kgo.Record, err error) {
			if done.Add(1); err != nil {
				failed.Add(1)
			}
			waiting.Done()
		})
	}
	other := client(t, s)
	slowest := make(map[string]time.Duration)
	ask := func(name string, request func(context.Context) error) {
		asked := time.Now()
		if err := request(ctx); err != nil {
			t.Fatalf("%s while the disk hangs: %v", name, err)
		}
		slowest[name] = max(slowest[name], time.Since(asked))
	}
	for time.Since(began) < hangs {
		ask("heartbeat", func(ctx context.Context) error {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = "group", member, generation
			resp, err := req.RequestWith(ctx, other)
			if err == nil && resp.ErrorCode != 0 {
				err = fmt.Errorf("error %d", resp.ErrorCode)
			}
			return err
		})
		ask("metadata", func(ctx context.Context) error {
			_, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, other)
			return err
		})
		ask("fetch", func(ctx context.Context) error {
			if got := consume(t, s, "orders", 1); string(got[0].Value) != "durable" {
				return fmt.Errorf("read %.20q", got[0].Value)
			}
			return nil
		})
		time.Sleep(100 * time.Millisecond) // a member's pace; nothing hopes on it
	}
	if n := done.Load(); n > 0 {
		t.Errorf("%d records were answered while the disk hung", n)
	}
	for name, took := range slowest {
		if took > prompt {
			t.Errorf("%s took %v while the disk hung, want %v at most", name, took, prompt)
		}
	}
	end()
	waiting.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d records failed after the disk had hung", n)
	}
	stop(t, s)
}

// A write or a sync that fails ends acknowledgement for good, with exit code 74
// and a line that says what to do, and what was acknowledged is there afterwards.
func TestAFailedWriteOrSyncEndsTheInstance(t *testing.T) {
	for name, match := range map[string]func(disk.Call) bool{
		"write of the journal":  func(c disk.Call) bool { return c.Op == "write" && strings.HasSuffix(c.Name, ".journal") },
		"settle":                func(c disk.Call) bool { return c.Op == "write" && strings.HasSuffix(c.Name, ".log") },
		"sync of a segment":     func(c disk.Call) bool { return c.Op == "sync" && strings.HasSuffix(c.Name, ".log") },
		"write of the snapshot": func(c disk.Call) bool { return c.Op == "write" && strings.HasSuffix(c.Name, ".snapshot") },
		"sync of the snapshot":  func(c disk.Call) bool { return c.Op == "sync" && strings.HasSuffix(c.Name, ".snapshot") },
		"rename of the snapshot": func(c disk.Call) bool {
			return c.Op == "rename" && strings.HasSuffix(c.Name, ".snapshot")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var broken atomic.Bool
			ready := make(chan *Server, 1)
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				ended <- Run(ctx, Options{Config: configure(t, dir), Log: quiet(), Ready: func(s *Server) { ready <- s }, disk: func(fs disk.FS) disk.FS {
					return disk.NewFaulty(fs, func(c disk.Call) error {
						if broken.Load() && match(c) {
							return syscall.EIO
						}
						return nil
					})
				}})
			}()
			s := <-ready
			c := client(t, s, kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
			acked := 0
			produce := func() error {
				err := c.ProduceSync(within(t, 30*time.Second), &kgo.Record{Topic: "orders", Value: fmt.Append(nil, acked)}).FirstErr()
				if err == nil {
					acked++
				}
				return err
			}
			for range 20 {
				if err := produce(); err != nil {
					t.Fatal(err)
				}
			}
			broken.Store(true)
			if strings.HasSuffix(name, "journal") {
				if err := produce(); err == nil {
					t.Error("acknowledged though the journal's write failed")
				}
			} else if err := s.set.Checkpoint(context.Background(), s.table.Settle); err != nil {
				s.fail(err) // as Run of the logs would a minute later
			} else {
				t.Error("the checkpoint did not fail")
			}
			var code *Error
			select {
			case err := <-ended:
				if !errors.As(err, &code) || code.Code != exitStorage || !strings.Contains(err.Error(), "look at the disk, then start again") {
					t.Fatalf("ended with %v, want code %d and what to do", err, exitStorage)
				}
			case <-time.After(60 * time.Second):
				t.Fatal("it runs on")
			}
			again := start(t, Options{Config: configure(t, dir)})
			for i, r := range consume(t, again, "orders", acked) {
				if string(r.Value) != fmt.Sprint(i) {
					t.Fatalf("record %d is %q", i, r.Value)
				}
			}
			stop(t, again)
		})
	}
}

// A stop is over in time, whatever hangs: the disk, a client that takes nothing.
func TestAStopIsOverInTimeThoughTheDiskHangs(t *testing.T) {
	dir := t.TempDir()
	var h hanging
	ready := make(chan *Server, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		ended <- Run(ctx, Options{Config: configure(t, dir), Log: quiet(), Ready: func(s *Server) { ready <- s }, disk: h.under})
	}()
	s := <-ready
	c := client(t, s)
	if err := c.ProduceSync(within(t, 30*time.Second), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	end := h.hang()
	defer end()
	c.Produce(context.Background(), &kgo.Record{Topic: "orders", Value: []byte("waits")}, nil)
	began := time.Now()
	cancel()
	var code *Error
	select {
	case err := <-ended:
		if !errors.As(err, &code) || code.Code != exitStorage || !strings.Contains(err.Error(), "did not answer") {
			t.Errorf("ended with %v, want code %d", err, exitStorage)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("still there %v after the stop", time.Since(began))
	}
	if took := time.Since(began); took > drainTime+hungTime+5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A power cut, or a kill, at every file call of a secure instance's first start
// leaves a directory that starts, with one superuser.
func TestAKillAtEveryCallOfTheFirstStart(t *testing.T) {
	prepare := func(dir string, hook func(disk.Call) error) error {
		s, err := Start(context.Background(), Options{Config: configure(t, dir), Log: quiet(), Secure: true, Init: true, AdminPassword: "Sesame-2026", disk: func(fs disk.FS) disk.FS {
			if hook == nil {
				return fs
			}
			return disk.NewFaulty(fs, hook)
		}})
		if err != nil {
			return err
		}
		return s.Stop()
	}
	var calls atomic.Int64
	if err := prepare(t.TempDir(), func(disk.Call) error { calls.Add(1); return nil }); err != nil {
		t.Fatal(err)
	}
	n := int(calls.Load())
	if n < 30 {
		t.Fatalf("only %d calls were made: that proves little", n)
	}
	killed := errors.New("killed")
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := 1; at <= n; at += step {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(at))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		var last disk.Call
		var mu sync.Mutex
		prepare(dir, func(c disk.Call) error { //nolint:errcheck // it was killed
			mu.Lock()
			defer mu.Unlock()
			if c.Number < at {
				return nil
			}
			if c.Number == at {
				last = c
			}
			return killed
		})
		s, err := Start(context.Background(), Options{Config: configure(t, dir), Log: quiet(), Secure: true, Init: true, AdminPassword: "Sesame-2026"})
		if err != nil {
			t.Fatalf("killed before call %d, %s %s: the next start: %v", at, last.Op, last.Name, err)
		}
		if !s.cluster.HasSuperuser() || !s.instance.Secure {
			t.Errorf("killed before call %d, %s %s: superuser %v, secure %v", at, last.Op, last.Name, s.cluster.HasSuperuser(), s.instance.Secure)
		}
		stop(t, s)
	}
}

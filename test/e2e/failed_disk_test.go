//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// failCalls lets every such call of a running instance fail from now on.
func (i *instance) failCalls(t *testing.T, call string) {
	t.Helper()
	said := &output{}
	cmd := exec.Command(tool(t, "strace"), "-f", "-o", os.DevNull, "-e", "trace="+call, "-e", "inject="+call+":error=EIO", "-p", fmt.Sprint(i.cmd.Process.Pid))
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }() //nolint:errcheck // it ends with what it looks at
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-ended
	})
	i.eventually("strace looks at it", 30*time.Second, func(context.Context) bool {
		select {
		case <-ended:
			t.Fatalf("strace ended: %s", said)
		default:
		}
		return strings.Contains(said.String(), "attached")
	})
}

// The system says that the disk failed, to the program itself: it acknowledges
// nothing more, ends with exit code 74 and a line that says what to do; and what
// it had acknowledged is there when the disk is well again.
func TestAFailedDiskEndsTheInstance(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("PARTIAL") != "" && os.Getenv("CI") == "" {
			t.Skip("left out: letting calls of another process fail needs root")
		}
		t.Fatal("letting calls of another process fail needs root")
	}
	const storageFailed = 74
	for _, step := range []struct {
		name, call string
		stops      bool // it fails in the last checkpoint
	}{
		{"a write of the journal", "pwrite64", false},
		{"a write of a segment", "pwritev", true},
		{"a sync of a segment", "fdatasync", true},
		{"a sync of a snapshot", "fsync", true},
	} {
		t.Run(step.name, func(t *testing.T) {
			i := plain(t)
			c := i.client(kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
			acked := 0
			produce := func() error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				err := c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: fmt.Append(nil, acked)}).FirstErr()
				if err == nil {
					acked++
				}
				return err
			}
			for range 50 {
				if err := produce(); err != nil {
					t.Fatal(err)
				}
			}
			i.failCalls(t, step.call)
			if step.stops {
				i.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it shows
			} else if err := produce(); err == nil {
				t.Error("acknowledged though the journal's write failed")
			}
			_, err := i.ended(t)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != storageFailed {
				t.Fatalf("ended with %v, want exit code %d\n%s", err, storageFailed, i.log)
			}
			i.logs("storage failed", "input/output error", "look at the disk, then start again")

			i.run()
			for n, value := range i.values("orders", acked) {
				if n < acked && value != fmt.Sprint(n) {
					t.Fatalf("record %d is %q", n, value)
				}
			}
			i.stop()
		})
	}
}

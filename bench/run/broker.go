package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/bench/raw"
)

// How long a broker may take.
const (
	readyTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
)

// retention is how often brokers look for segments to let go of: more often
// than by default, for what is kept has to fit the disk.
const retention = "log.retention.check.interval.ms=10000"

// kind is a broker as it is started.
type kind struct {
	name    string
	command func(port int, data string) []string
	traces  string // of topics, below the data directory
	jvm     bool   // it takes long to warm up
	deaf    bool   // nothing can be read from it
	metrics bool
	prepare func(ctx context.Context, port int, data string) error // before a start; nil: nothing is to do
}

// kinds gives all kinds there are.
func (o *options) kinds(tools string) []kind {
	milena := func(name, binary string) kind {
		return kind{name: name, traces: "topics/load-*", metrics: true, command: func(port int, data string) []string {
			return []string{binary, "start", "--data", data, "-c", "listeners=PLAINTEXT://" + address(port), "-c", "admin.listener=" + address(port+1), "-c", retention}
		}}
	}
	kafka := func(name string, more ...string) kind {
		command := func(port int, data string) []string {
			return append([]string{"scripts/kafka", fmt.Sprint(port), data, retention}, more...)
		}
		return kind{name: name, traces: "log/load-*", jvm: true, command: command, prepare: func(ctx context.Context, port int, data string) error {
			args := command(port, data)
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "PREPARE=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("format %s: %w\n%s", data, err, out)
			}
			return nil
		}}
	}
	floor := func(name, traces string, more ...string) kind {
		return kind{name: name, traces: traces, deaf: len(more) > 0, command: func(port int, data string) []string {
			return append([]string{filepath.Join(tools, "floor"), "-listen", address(port), "-data", data}, more...)
		}}
	}
	return []kind{
		milena("milena", o.milena), milena("new", o.milena), milena("old", o.vs), milena("old-again", o.vs),
		kafka("kafka"), kafka("kafka-flush", "log.flush.interval.messages=1"),
		floor("floor", "load-*"), floor("journal", "load-*", "-journal"),
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// broker is one that runs, or will.
type broker struct {
	kind
	port  int
	dir   string // its own; each life has a data directory in it
	lives int
	data  string
	cmd   *exec.Cmd
	ended chan error // has what a life ended with

	warmed string // the load that it was warmed up with since it was started
}

// ensure starts the broker if it does not run, on a fresh directory.
func (b *broker) ensure(ctx context.Context) error {
	if b.cmd != nil {
		select {
		case err := <-b.ended:
			fmt.Fprintf(os.Stderr, "run: %s ended: %v; its log is %s\n", b.name, err, b.log())
			b.cmd = nil
		default:
			return nil
		}
	}
	if err := b.fresh(); err != nil {
		return err
	}
	if err := b.start(); err != nil {
		return err
	}
	return b.ready(ctx)
}

// fresh gives the broker a new data directory, and removes the old one.
func (b *broker) fresh() error {
	if b.data != "" {
		if err := os.RemoveAll(b.data); err != nil {
			return err
		}
	}
	b.lives++
	b.data = filepath.Join(b.dir, fmt.Sprintf("data-%d", b.lives))
	return os.MkdirAll(b.dir, 0o700)
}

func (b *broker) log() string { return filepath.Join(b.dir, "broker.log") }

// start starts the broker's process.
func (b *broker) start() error {
	log, err := os.OpenFile(b.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := b.command(b.port, b.data)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the runner, which stops it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", b.name, err)
	}
	b.cmd, b.ended, b.warmed = cmd, make(chan error, 1), ""
	go func() { b.ended <- cmd.Wait() }()
	return nil
}

// ready waits until the broker answers.
func (b *broker) ready(ctx context.Context) error {
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-b.ended:
			b.cmd = nil
			return fmt.Errorf("%s ended at its start: %w; its log is %s", b.name, errors.Join(err), b.log())
		default:
		}
		conn, err := raw.Dial(address(b.port))
		if err != nil {
			continue
		}
		_, err = conn.Ask(kmsg.NewPtrApiVersionsRequest())
		conn.Close()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer after %v; its log is %s", b.name, readyTimeout, b.log())
}

// stop ends the broker: by asking, and if that does not help by force.
func (b *broker) stop() {
	if b.cmd == nil {
		return
	}
	b.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	select {
	case <-b.ended:
	case <-time.After(stopTimeout):
		b.kill()
	}
	b.cmd = nil
}

// kill ends the broker at once.
func (b *broker) kill() {
	b.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-b.ended
	b.cmd = nil
}

// clean says that no topic of the load has left anything.
func (b *broker) clean() bool {
	left, err := filepath.Glob(filepath.Join(b.data, b.traces))
	return err == nil && len(left) == 0
}

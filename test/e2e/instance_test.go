//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "milena-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "milena")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/milena")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tool finds what scripts/install-test-tools installed.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.tools", name))
	if err == nil {
		if _, err = os.Stat(path); err == nil {
			return path
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if os.Getenv("PARTIAL") != "" && os.Getenv("CI") == "" {
		t.Skipf("left out: %s is not installed; scripts/install-test-tools installs it", name)
	}
	t.Fatalf("%s is not installed: run scripts/install-test-tools", name)
	return ""
}

// instance is a running milena.
type instance struct {
	t    *testing.T
	dir  string
	args []string
	cmd  *exec.Cmd
	log  *output
	addr map[string]string // by listener
	gone chan error
}

// output keeps what a program prints, for a test to look at.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}

const password = "Sesame-2026"

// start starts milena on free ports and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *instance {
	t.Helper()
	i := &instance{t: t, dir: dir, args: args}
	i.run()
	t.Cleanup(func() {
		i.kill()
		if t.Failed() {
			t.Logf("milena printed:\n%s", i.log)
		}
	})
	return i
}

// secure starts an instance with a superuser, on three listeners.
func secure(t *testing.T, args ...string) *instance {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	write(t, file, password+"\n")
	return start(t, filepath.Join(dir, "data"), append([]string{
		"--secure", "--admin-password-file", file,
		"-c", "listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0",
	}, args...)...)
}

// plain starts an instance without users.
func plain(t *testing.T, args ...string) *instance {
	t.Helper()
	return start(t, filepath.Join(t.TempDir(), "data"), append([]string{"-c", "listeners=PLAINTEXT://127.0.0.1:0"}, args...)...)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (i *instance) run() {
	i.t.Helper()
	i.log = &output{}
	i.gone = make(chan error, 1)
	i.cmd = exec.Command(binary, append([]string{"start", "--data", i.dir, "-c", "admin.listener=127.0.0.1:0"}, i.args...)...)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	cmd, gone := i.cmd, i.gone
	go func() { gone <- cmd.Wait() }()
	i.waitReady()
}

func (i *instance) waitReady() {
	i.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if i.addr = i.readAddresses(); i.addr != nil && ready(i.addr["admin"]) {
			return
		}
		select {
		case err := <-i.gone:
			i.gone <- err
			i.t.Fatalf("milena ended: %v\n%s", err, i.log)
		default:
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("not ready after 20s\n%s", i.log)
		}
	}
}

func ready(admin string) bool {
	resp, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// readAddresses reads DIR/addresses of this process: an older one's is gone
// once this one has replaced it.
func (i *instance) readAddresses() map[string]string {
	f, err := os.Open(filepath.Join(i.dir, "addresses"))
	if err != nil {
		return nil
	}
	defer f.Close()
	addresses := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 {
			addresses[fields[0]] = fields[2]
		}
	}
	return addresses
}

// within makes a subtest the one that fails, until it is undone.
func (i *instance) within(t *testing.T) (undo func()) {
	whole := i.t
	i.t = t
	return func() { i.t = whole }
}

// stop ends it by SIGTERM, and wants a clean end.
func (i *instance) stop() {
	i.t.Helper()
	i.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-i.gone:
		i.gone <- err
		if err != nil {
			i.t.Fatalf("after SIGTERM: %v\n%s", err, i.log)
		}
	case <-time.After(15 * time.Second):
		i.t.Fatalf("still there 15s after SIGTERM\n%s", i.log)
	}
}

// kill ends it without a warning.
func (i *instance) kill() {
	i.cmd.Process.Kill()
	err := <-i.gone
	i.gone <- err
	os.Remove(filepath.Join(i.dir, "addresses"))
}

// logs waits until a line with all of these words is in the log.
func (i *instance) logs(words ...string) {
	i.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(i.log.String()) {
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return
			}
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("no line with %q in the log:\n%s", words, i.log)
		}
	}
}

// command runs a program to its end.
func command(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a program that has to succeed.
func must(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, err := command(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

// cycles is how often a test that is worth repeating does so.
func cycles(few int) int {
	if n, err := strconv.Atoi(os.Getenv("CYCLES")); err == nil {
		return n
	}
	return few
}

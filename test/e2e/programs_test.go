//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The programs that connect --lang prints are compiled and run as they come, with
// the files that connect --dir writes beside them.
func TestThePrintedProgramsRun(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, password)
	modes := sample()
	for _, m := range modes {
		for _, lang := range []string{"python", "java", "go"} {
			topic := "program-" + lang + "-" + m.String()
			t.Run(lang+"-"+m.String(), func(t *testing.T) {
				defer i.within(t)()
				print := func(kind string) string {
					args := []string{"connect", kind, "--data", i.dir, "--lang", lang, "--topic", topic, "--group", "group-" + topic,
						"--user", "admin", "--password-file", file, "-X", "security.protocol=" + m.protocol}
					if m.mechanism != "" {
						args = append(args, "-X", "sasl.mechanism="+m.mechanism)
					}
					return must(t, "", binary, args...)
				}
				var produce, consume *exec.Cmd
				switch lang {
				case "python":
					produce, consume = python(t, dir, print("produce")), python(t, dir, print("consume"))
				case "java":
					produce, consume = javaProgram(t, dir, "Producer", print("produce")), javaProgram(t, dir, "Consumer", print("consume"))
				case "go":
					produce, consume = goProgram(t, dir, print("produce")), goProgram(t, dir, print("consume"))
				}
				i.runsPrinted(lang, topic, produce, consume)
			})
		}
	}
}

// runsPrinted runs both. Python's consumer, the page's, begins at the end.
func (i *instance) runsPrinted(lang, topic string, produce, consume *exec.Cmd) {
	t := i.t
	t.Helper()
	saysOf := map[string][2]string{
		"python": {"start producer\nend producer\n", "start consumer\n" + topic + ":0:0: key=None value=b'hello kafka!'\n"},
		"java":   {topic + "-0@0\n", topic + ":0:0: key=null value=hello kafka!\n"},
		"go":     {topic + ":0:0\n", topic + ":0:0: key= value=hello kafka!\n"},
	}[lang]
	printed := &output{}
	consume.Stdout = printed
	if lang == "python" {
		i.started(consume)
		i.reading("group-"+topic, 1)
	}
	var problems output
	produce.Stderr = &problems
	out, err := produce.Output()
	if err != nil || string(out) != saysOf[0] {
		t.Fatalf("the producer: %v\n%s\n%s", err, out, &problems)
	}
	if got := i.values(topic, 1); got[0] != "hello kafka!" {
		t.Errorf("the topic holds %q", got)
	}
	if lang != "python" {
		i.started(consume)
	}
	i.eventually("the consumer's line", 2*waitMax, func(context.Context) bool { return printed.Len() >= len(saysOf[1]) })
	if printed.String() != saysOf[1] {
		t.Errorf("the consumer printed\n%s\nwant\n%s", printed, saysOf[1])
	}
	consume.Process.Kill()
}

// javaProgram compiles a class beside the certificates.
func javaProgram(t *testing.T, dir, class, text string) *exec.Cmd {
	t.Helper()
	libs, classes := tool(t, "kafka-4.3.1")+"/*", t.TempDir()
	source := filepath.Join(classes, class+".java")
	write(t, source, text)
	must(t, "", tool(t, "javac"), "-J-XX:TieredStopAtLevel=1", "-cp", libs, "-d", classes, source)
	c := exec.Command(tool(t, "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-cp", libs+":"+classes, class)
	c.Dir = dir
	return c
}

// goProgram builds a program in a module of its own, against the versions that
// this module has, from what was downloaded for it.
func goProgram(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	module := t.TempDir()
	write(t, filepath.Join(module, "main.go"), text)
	ours, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(ours), "\n")
	if !found {
		t.Fatal("go.mod has one line")
	}
	var kept []string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "tool ") {
			kept = append(kept, line)
		}
	}
	write(t, filepath.Join(module, "go.mod"), "module program\n"+strings.Join(kept, ""))
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(module, "go.sum"), string(sums))
	build := exec.Command("go", "build", "-o", "program", ".")
	build.Dir, build.Env = module, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
	build.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the printed program does not build: %v\n%s\n%s", err, out, text)
	}
	c := exec.Command(filepath.Join(module, "program"))
	c.Dir = dir
	return c
}

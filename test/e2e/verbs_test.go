//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page's programs in Go: the same parameters, the same line.
func TestA28ProduceAndConsumePrintThePagesLine(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	file := filepath.Join(dir, "password")
	write(t, file, password)
	flags := []string{"-b", i.addr["SASL_SSL"], "--user", "admin", "--password-file", file, "--ca", filepath.Join(dir, "phy_ca.crt")}
	must(t, "hello kafka!\n", binary, append([]string{"produce", "topic-name"}, flags...)...)
	got := must(t, "", binary, append([]string{"consume", "topic-name", "-o", "start", "-n", "1", "-f", `%t:%p:%o: key=%k{python} value=%v{python}\n`}, flags...)...)
	if want := "topic-name:0:0: key=None value=b'hello kafka!'\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestA09ACreatedUserSignsInAtOnceAndNotAfterItIsDeleted(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	admin, alice := filepath.Join(dir, "admin.pw"), filepath.Join(dir, "alice.pw")
	write(t, admin, password)
	write(t, alice, "Wonderland-1")
	flags := func(user, file string) []string {
		return []string{"-b", i.addr["SASL_SSL"], "--user", user, "--password-file", file, "--ca", filepath.Join(dir, "phy_ca.crt")}
	}
	create := func(name, by, file string) (string, error) {
		return command(t, "", binary, "user", "create", name, "--password-file", alice, "-b", i.addr["SASL_SSL"],
			"--user", by, "--user-password-file", file, "--ca", filepath.Join(dir, "phy_ca.crt"))
	}
	if out, err := create("alice", "admin", admin); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		must(t, "hi\n", binary, append([]string{"produce", "t", "-X", "sasl.mechanism=" + mechanism}, flags("alice", alice)...)...)
	}
	if out, err := create("bob", "alice", alice); err == nil {
		t.Errorf("alice made a user:\n%s", out)
	}
	must(t, "", binary, append([]string{"user", "delete", "alice"}, flags("admin", admin)...)...)
	if out, err := command(t, "hi\n", binary, append([]string{"produce", "t"}, flags("alice", alice)...)...); err == nil {
		t.Errorf("alice is gone and still writes:\n%s", out)
	}
}

func TestA02ConnectWritesWhatClientsNeed(t *testing.T) {
	i := secure(t)
	dir := t.TempDir()
	for _, state := range []string{"running", "stopped"} {
		must(t, "", binary, "connect", "--data", i.dir, "--dir", dir)
		for _, name := range []string{"phy_ca.crt", "client.jks", "client.p12", "client.properties"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %s: %v", state, name, err)
			}
			os.Remove(filepath.Join(dir, name))
		}
		if out := must(t, "", binary, "connect", "--data", i.dir, "--lang", "python"); !strings.Contains(out, "from kafka import") {
			t.Errorf("%s: --lang python printed %q", state, out)
		}
		if state == "running" {
			i.stop()
		}
	}
}

package sasl

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	kgosasl "github.com/twmb/franz-go/pkg/sasl"
	kgoplain "github.com/twmb/franz-go/pkg/sasl/plain"
	kgoscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"milena/machine/cluster"
)

const right = "päss,w=ord"

func checker(t *testing.T) *Checker {
	t.Helper()
	alice := &cluster.User{Name: "alice", Verifiers: make(map[cluster.Mechanism]cluster.Verifier)}
	for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
		v, err := NewVerifier(m, right, IterationsMin)
		if err != nil {
			t.Fatal(err)
		}
		alice.Verifiers[m] = v
	}
	return NewChecker(func(name string) (*cluster.User, bool) { return alice, name == "alice" })
}

// signIn lets a client of another project sign in.
func signIn(c *Checker, m kgosasl.Mechanism) (user string, err error) {
	session, token, err := m.Authenticate(context.Background(), "localhost")
	if err != nil {
		return "", err
	}
	e := c.New(m.Name())
	for {
		answer, done, err := e.Step(token)
		if err != nil {
			return "", err
		}
		clientDone, next, err := session.Challenge(answer)
		if err != nil {
			return "", err
		}
		if done {
			return e.User(), nil
		}
		if clientDone {
			return "", errors.New("the client thinks that it is done")
		}
		token = next
	}
}

func mechanisms(user, password string) []kgosasl.Mechanism {
	auth := kgoscram.Auth{User: user, Pass: password}
	return []kgosasl.Mechanism{kgoplain.Auth{User: user, Pass: password}.AsMechanism(), auth.AsSha256Mechanism(), auth.AsSha512Mechanism()}
}

func TestOnePasswordServesEveryMechanism(t *testing.T) {
	c := checker(t)
	for range 2 {
		for _, m := range mechanisms("alice", right) {
			if user, err := signIn(c, m); err != nil || user != "alice" {
				t.Errorf("%s: signed in as %q, %v", m.Name(), user, err)
			}
		}
	}
}

func TestAnUnknownUserLooksLikeAWrongPassword(t *testing.T) {
	c := checker(t)
	for i := range 3 {
		_, wrong := signIn(c, mechanisms("alice", "wrong")[i])
		_, unknown := signIn(c, mechanisms("nobody", "wrong")[i])
		var a, b *Refusal
		if !errors.As(wrong, &a) || !errors.As(unknown, &b) {
			t.Fatalf("wrong password: %v; unknown user: %v", wrong, unknown)
		}
		if a.Text != b.Text || a.Reason != b.Reason {
			t.Errorf("told apart by %q and %q", a, b)
		}
	}
	first := c.New("SCRAM-SHA-256")
	one, _, _ := first.Step([]byte("n,,n=nobody,r=abc"))
	other, _, _ := c.New("SCRAM-SHA-256").Step([]byte("n,,n=nobody,r=abc"))
	if salt := func(b []byte) string { return strings.Split(string(b), ",")[1] }; salt(one) != salt(other) {
		t.Error("an unknown user's salt changes from time to time, a known one's does not")
	}
}

func TestPlainIsDearOnceAndCheapAfterwards(t *testing.T) {
	c := checker(t)
	token := []byte("alice\x00alice\x00" + right)
	if _, _, err := c.New("PLAIN").Step(token); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 5000 {
		if _, done, err := c.New("PLAIN").Step(token); err != nil || !done {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("5,000 sign-ins took %v", took)
	}
	if bytes.Contains([]byte(strings.Join(keysOf(c), "")), []byte(right)) {
		t.Error("the password is remembered")
	}
}

func keysOf(c *Checker) (keys []string) {
	for k := range c.right {
		keys = append(keys, string(k[:]))
	}
	return keys
}

func TestCraftedTokensAreRefused(t *testing.T) {
	c := checker(t)
	for _, tt := range []struct{ mechanism, token string }{
		{"PLAIN", "alice\x00" + right}, {"PLAIN", ""}, {"PLAIN", "\x00\x00\x00"}, {"PLAIN", "bob\x00alice\x00" + right},
		{"PLAIN", "\x00alice\x00"}, {"SCRAM-SHA-256", ""}, {"SCRAM-SHA-256", "y,,n=alice,r=abc"}, {"SCRAM-SHA-256", "p=tls-unique,,n=alice,r=abc"},
		{"SCRAM-SHA-256", "n,a=bob,n=alice,r=abc"}, {"SCRAM-SHA-256", "n,,n=,r=abc"}, {"SCRAM-SHA-256", "n,,n=alice,r="},
		{"SCRAM-SHA-256", "n,,r=abc,n=alice"}, {"SCRAM-SHA-256", "n,,n=alice,r=abc,tokenauth=true"},
	} {
		if _, done, err := c.New(tt.mechanism).Step([]byte(tt.token)); err == nil || done {
			t.Errorf("%s %q: done %t, %v", tt.mechanism, tt.token, done, err)
		}
	}
	if c.New("GSSAPI") != nil {
		t.Error("a mechanism that is not there")
	}
}

func TestAnotherNonceOrBindingIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(nonce string) string{
		"another nonce":   func(n string) string { return "c=biws,r=" + n + "x" },
		"only the end":    func(n string) string { return "c=biws,r=" + n[3:] },
		"another binding": func(n string) string { return "c=eSws,r=" + n },
		"no nonce":        func(string) string { return "c=biws" },
	} {
		e := checker(t).New("SCRAM-SHA-256")
		answer, _, err := e.Step([]byte("n,,n=alice,r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		nonce := strings.Split(string(answer), ",")[0][2:]
		if _, done, err := e.Step([]byte(spoil(nonce) + ",p=AAAA")); err == nil || done {
			t.Errorf("%s: done %t, %v", name, done, err)
		}
	}
}

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
	return NewChecker(func(name string) (*cluster.User, bool) { return alice, name == "alice" }, MadeUp{})
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

func TestARememberedPasswordOpensForNoOther(t *testing.T) {
	c := checker(t)
	for _, password := range []string{right, "wrong", right, right + "x", "w"} {
		_, done, err := c.New("PLAIN").Step([]byte("\x00alice\x00" + password))
		if want := password == right; done != want || (err == nil) != want {
			t.Errorf("%q: done %t, %v", password, done, err)
		}
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

// What is sent to a user who is not there must not differ from what is sent to
// one who is, now or after a restart.
func TestAMadeUpUserIsLikeOthers(t *testing.T) {
	challenge := func(c *Checker, mechanism, name string) (salt, iterations string) {
		answer, done, err := c.New(mechanism).Step([]byte("n,,n=" + name + ",r=abc"))
		if err != nil || done {
			t.Fatalf("%s %s: done %t, %v", mechanism, name, done, err)
		}
		fields := strings.Split(string(answer), ",")
		return fields[1], fields[2]
	}
	first, again, other := checker(t), checker(t), checker(t)
	first.madeUp = MadeUp{Key: []byte("key"), Iterations: IterationsMin}
	again.madeUp = first.madeUp
	other.madeUp.Iterations = IterationsMin
	for _, mechanism := range Mechanisms[1:] {
		known, knownIterations := challenge(first, mechanism, "alice")
		salt, iterations := challenge(first, mechanism, "nobody")
		if len(salt) != len(known) || iterations != knownIterations {
			t.Errorf("%s: %s %s, of a known user %s %s", mechanism, salt, iterations, known, knownIterations)
		}
		if after, _ := challenge(again, mechanism, "nobody"); after != salt {
			t.Errorf("%s: another salt after a restart: %s, %s", mechanism, after, salt)
		}
		if b, _ := challenge(other, mechanism, "nobody"); b == salt {
			t.Errorf("%s: without the key the salt is known", mechanism)
		}
		if b, _ := challenge(first, mechanism, "nobody2"); b == salt {
			t.Errorf("%s: two users have one salt", mechanism)
		}
	}
}

// A user who has only one kind of verifier may use PLAIN, and cost no less when
// the password is wrong.
func TestPlainTakesEitherVerifier(t *testing.T) {
	for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
		v, err := NewVerifier(m, right, IterationsMin)
		if err != nil {
			t.Fatal(err)
		}
		bob := &cluster.User{Name: "bob", Verifiers: map[cluster.Mechanism]cluster.Verifier{m: v}}
		c := NewChecker(func(name string) (*cluster.User, bool) { return bob, name == "bob" }, MadeUp{})
		if _, done, err := c.New("PLAIN").Step([]byte("\x00bob\x00" + right)); err != nil || !done {
			t.Errorf("%s: %t, %v", m.Name(), done, err)
		}
		if _, done, err := c.New("PLAIN").Step([]byte("\x00bob\x00wrong")); err == nil || done {
			t.Errorf("%s: a wrong password is taken", m.Name())
		}
	}
}

// A password that was right once is not right after it was changed.
func TestAChangedPasswordIsForgotten(t *testing.T) {
	alice := &cluster.User{Name: "alice", Verifiers: make(map[cluster.Mechanism]cluster.Verifier)}
	set := func(password string) {
		v, err := NewVerifier(cluster.ScramSHA256, password, IterationsMin)
		if err != nil {
			t.Fatal(err)
		}
		alice.Verifiers[cluster.ScramSHA256] = v
	}
	there := true
	c := NewChecker(func(string) (*cluster.User, bool) { return alice, there }, MadeUp{})
	for _, step := range []struct {
		set func()
		old bool
		new bool
	}{
		{func() { set("old") }, true, false},
		{func() { set("new") }, false, true},
		{func() { there = false }, false, false},
	} {
		step.set()
		for range 2 { // the second time it may be remembered
			for password, want := range map[string]bool{"old": step.old, "new": step.new} {
				if _, done, _ := c.New("PLAIN").Step([]byte("\x00alice\x00" + password)); done != want {
					t.Errorf("the %s password is right: %t, want %t", password, done, want)
				}
			}
		}
	}
}

func TestAVerifierHoldsNoPassword(t *testing.T) {
	for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
		a, errA := NewVerifier(m, right, IterationsDefault)
		b, errB := NewVerifier(m, right, IterationsDefault)
		if errA != nil || errB != nil || a.Iterations != 8192 || len(a.Salt) != saltBytes {
			t.Fatalf("%d iterations, %d bytes of salt: %v %v", a.Iterations, len(a.Salt), errA, errB)
		}
		if bytes.Equal(a.Salt, b.Salt) || bytes.Equal(a.StoredKey, b.StoredKey) {
			t.Errorf("%s: two verifiers of one password are the same", m.Name())
		}
		for _, part := range [][]byte{a.Salt, a.StoredKey, a.ServerKey} {
			if bytes.Contains(part, []byte(right)) {
				t.Errorf("%s: the password stands in it", m.Name())
			}
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add(uint8(0), []byte("\x00alice\x00"+right), []byte(""))
	f.Add(uint8(1), []byte("n,,n=alice,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add(uint8(2), []byte("n,a=al=2Cice,n=al=2Cice,r=abc,foo=bar"), []byte("c=,r=,p="))
	f.Add(uint8(1), []byte(",,,"), []byte(",p="))
	alice := &cluster.User{Name: "alice"}
	f.Fuzz(func(t *testing.T, mechanism uint8, first, second []byte) {
		c := NewChecker(func(name string) (*cluster.User, bool) { return alice, name == "alice" }, MadeUp{Iterations: 1})
		e := c.New(Mechanisms[int(mechanism)%len(Mechanisms)])
		for _, token := range [][]byte{first, second} { // nobody has a verifier, so nobody signs in
			answer, done, err := e.Step(token)
			var refused *Refusal
			if done || err != nil && !errors.As(err, &refused) || err == nil && len(answer) == 0 || e.User() != "" {
				t.Fatalf("done %t as %q, %q, %v", done, e.User(), answer, err)
			}
			if err != nil {
				return
			}
		}
	})
}

// Who is not there costs the same work, so that how long a refusal took tells
// nothing about names.
func TestAnUnknownUserCostsAsMuchAsAWrongPassword(t *testing.T) {
	c := checker(t)
	cost := func(user string) time.Duration {
		least := time.Hour // of several: a busy machine only ever adds
		for range 7 {
			began := time.Now()
			if _, _, err := c.New("PLAIN").Step([]byte("\x00" + user + "\x00wrong")); err == nil {
				t.Fatalf("%s signed in by a wrong password", user)
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	if there, gone := cost("alice"), cost("nobody"); gone < there/10 {
		t.Errorf("an unknown user cost %v, a known one %v", gone, there)
	}
}

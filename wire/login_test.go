package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milena/config"
)

func TestAListenerWithoutSASLRefusesItAndLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		defer r.stop()
		p := r.dial()
		p.send(handshake(1, 1, "PLAIN"))
		if b := p.answered(1); hex.EncodeToString(b) != "002200000000" {
			t.Errorf("SaslHandshake: %x", b)
		}
		for version := range int16(3) {
			p.send(token(version, 2, "x"))
			b := p.answered(2)
			if version == 2 {
				b = b[1:] // of the flexible header
			}
			if !bytes.HasPrefix(b, []byte{0, 34}) {
				t.Errorf("SaslAuthenticate v%d: %x", version, b)
			}
		}
		p.send(plain(3, 0))
		p.answered(3)
		r.noLines()
	})
}

// A mechanism that this listener has not, though another may.
func TestAListenerHasItsOwnMechanisms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withUsers()
		o.listener.Mechanisms = []string{"SCRAM-SHA-512"}
		r := run(t, echo, o)
		defer r.stop()
		p := r.dial()
		p.send(handshake(1, 1, "PLAIN"))
		if b := p.answered(1); !bytes.HasPrefix(b, []byte{0, 33, 0, 0, 0, 1}) || !bytes.HasSuffix(b, []byte("SCRAM-SHA-512")) {
			t.Errorf("SaslHandshake: %x", b)
		}
		p.closed()
		r.oneLine("sign-in refused", "mechanism=PLAIN", "not enabled")
	})
}

// refusedAfter tries a password and says how long the refusal took.
func (r *running) refusedAfter(user, secret string) time.Duration {
	r.t.Helper()
	p := r.dial()
	defer p.Close()
	p.send(handshake(1, 1, "PLAIN"))
	p.answered(1)
	began := time.Now()
	p.send(token(1, 2, "\x00"+user+"\x00"+secret))
	if b := p.answered(2); !bytes.HasPrefix(b, []byte{0, 58}) {
		r.t.Fatalf("%s is not refused: %x", user, b)
	}
	took := time.Since(began)
	p.closed()
	return took
}

func TestGuessingBecomesSlowAndLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, withUsers())
		defer r.stop()
		m := r.Server.open[0].(*memory)
		for i := range guessFree {
			if took := r.refusedAfter("alice", "guess"); took != refusalDelay {
				t.Errorf("guess %d is answered after %v, want %v", i, took, refusalDelay)
			}
		}
		slowest := time.Duration(0)
		for range 6 {
			took := r.refusedAfter("alice", "guess")
			if took <= slowest {
				t.Errorf("a guess is answered after %v, the one before it after %v", took, slowest)
			}
			slowest = took
		}
		// the same guesser with another name
		if took := r.refusedAfter("bob", "guess"); took <= slowest {
			t.Errorf("with another name it is answered after %v", took)
		}

		began := time.Now()
		for _, from := range []string{"192.0.2.1", "198.51.100.7"} { // the guesser's address, and another
			m.from = net.ParseIP(from)
			p := r.dial()
			p.signIn()
			p.Close()
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("alice herself waits %v", took)
		}

		time.Sleep(guessSpan + time.Second)
		if took := r.refusedAfter("alice", "guess"); took != refusalDelay {
			t.Errorf("after a quiet minute a slip costs %v", took)
		}
	})
}

func TestAnUnknownUserIsRefusedAsAWrongPasswordIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, withUsers())
		defer r.stop()
		if known, unknown := r.refusedAfter("alice", "x"), r.refusedAfter("nobody", "x"); known != unknown {
			t.Errorf("after %v and %v", known, unknown)
		}
		lines := r.log.lines()
		if len(lines) != 2 || !strings.Contains(lines[0], `user=alice`) || !strings.Contains(lines[1], `user=nobody`) || strings.Contains(lines[0], "x ") {
			t.Errorf("%d lines: %v", len(lines), lines)
		}
		if refused := r.Stats().Listeners[0].Refused; refused != 2 {
			t.Errorf("%d refusals are counted", refused)
		}
	})
}

func TestANameCannotWriteLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, withUsers())
		defer r.stop()
		r.refusedAfter("eve\nlevel=ERROR msg=\"all is lost\"\x1b[31m"+strings.Repeat("x", 5000), "secret-of-eve")
		r.oneLine("sign-in refused", `eve?level`)
		line := r.log.lines()[0]
		if len(line) > 500 || strings.Contains(line, "secret-of-eve") || strings.ContainsAny(line, "\x1b") {
			t.Errorf("it says %q", line)
		}
	})
}

func TestASessionThatIsOverEndsAtTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withUsers()
		o.listener.Reauth = time.Minute
		r := run(t, echo, o)
		defer r.stop()
		p := r.dial()
		p.signIn()
		for range 3 { // renewed in time it goes on
			time.Sleep(50 * time.Second)
			p.send(plain(3, 0))
			p.answered(3)
			p.signIn()
		}
		time.Sleep(59 * time.Second)
		p.send(plain(4, 0))
		p.answered(4)
		time.Sleep(time.Hour) // only a request ends it
		p.send(plain(5, 0))
		p.closed()
		r.oneLine("alice did not sign in again within connections.max.reauth.ms")
	})
}

// Also who is late may sign in again, as with Kafka.
func TestASessionThatIsOverMayBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withUsers()
		o.listener.Reauth = time.Minute
		r := run(t, echo, o)
		defer r.stop()
		p := r.dial()
		p.signIn()
		time.Sleep(2 * time.Minute)
		p.signIn()
		p.send(plain(5, 0))
		p.answered(5)
		r.noLines()
	})
}

func TestAPasswordInClearIsWarnedAboutOncePerListener(t *testing.T) {
	for protocol, want := range map[string]int{"SASL_PLAINTEXT": 1, "SASL_SSL": 0} {
		synctest.Test(t, func(t *testing.T) {
			o := withUsers()
			o.listener.Protocol = protocol // in memory and without TLS: the protocol is what counts
			r := run(t, echo, o)
			defer r.stop()
			for range 2 {
				r.dial().signIn()
			}
			if got := strings.Count(r.log.text.String(), inClear); got != want {
				t.Errorf("%s: warned %d times, want %d:\n%s", protocol, got, want, r.log.text.String())
			}
		})
	}
}

func TestReauthenticationIsPerListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withUsers()
		o.listener = config.Listener{Name: "OTHER", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"PLAIN"}, Reauth: 1500 * time.Millisecond}
		r := run(t, echo, o)
		defer r.stop()
		p := r.dial()
		p.send(handshake(1, 1, "PLAIN"))
		p.answered(1)
		p.send(token(1, 2, "\x00alice\x00"+password))
		if b := p.answered(2); !bytes.HasSuffix(b, []byte{0, 0, 0, 0, 0, 0, 0x05, 0xdc}) {
			t.Errorf("the session's lifetime is not 1,500 ms: %x", b)
		}
	})
}

func TestAFloodOfNamesDoesNotMakeGuessesForgotten(t *testing.T) {
	var g throttle
	now := time.Now()
	for range 3 * guessFree {
		g.failed(now, "192.0.2.1", "alice")
	}
	for i := range 3 * guessKept {
		g.failed(now, fmt.Sprintf("198.51.%d.%d", i/250, i%250), fmt.Sprint("name", i))
		g.failed(now, "192.0.2.1", fmt.Sprint("other", i)) // the guesser goes on
	}
	if delay := g.failed(now, "192.0.2.1", strings.Repeat("x", 16<<10)); delay != guessDelay {
		t.Errorf("a guesser is held back for %v, want %v", delay, guessDelay)
	}
	if delay := g.failed(now, "203.0.113.1", "alice"); delay != guessDelay {
		t.Errorf("who guesses alice's password from elsewhere is held back for %v, want %v", delay, guessDelay)
	}
	if len(g.hosts) > guessKept || len(g.users) > guessKept {
		t.Errorf("%d hosts and %d users are kept", len(g.hosts), len(g.users))
	}
	for name := range g.users {
		if len(name) > guessName {
			t.Errorf("%d bytes of a name are kept", len(name))
		}
	}
}

func TestOneNetworkIsOneGuesser(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "pipe": "pipe", "::ffff:192.0.2.1": "::ffff:192.0.2.1",
	} {
		if got := source(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

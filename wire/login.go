package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/api"
	"milena/wire/sasl"
	"milena/wire/shape"
)

// login is how far a connection has signed in.
//
//	handshake  names a mechanism; version 0: bare tokens follow, 1: SaslAuthenticate
//	tokens     until the exchange is done
//	done       requests, until the session ends or the client signs in again
type login struct {
	done      bool
	raw       bool // bare tokens
	asked     bool // ApiVersions was answered
	exchange  sasl.Exchange
	mechanism string
	ends      time.Time // the session; zero: never
	renewed   time.Time // when it was signed in again last
}

func (l *login) expired(now time.Time) bool { return !l.ends.IsZero() && now.After(l.ends) }

const reauthPause = time.Second // between two renewals

// signIn answers what comes before or around a login. handled false: the
// request goes on to the API.
func (c *conn) signIn(h header, body []byte, w *waiting) (handled bool, err error) {
	l := &c.login
	if err := shape.Check(h.key, h.version, body); err != nil {
		return false, fmt.Errorf("request of API %d before login: %w", h.key, err)
	}
	switch h.key {
	case int16(kmsg.SASLHandshake):
		return true, c.handshakeSASL(h, body, w)
	case int16(kmsg.SASLAuthenticate):
		return true, c.authenticate(h, body, w)
	}
	switch {
	case l.done: // the session ended and was not renewed
		return false, fmt.Errorf("%s did not sign in again within connections.max.reauth.ms", c.session.User)
	case h.key == int16(kmsg.ApiVersions) && l.exchange == nil && !l.asked:
		l.asked = h.version <= 5
		return false, nil
	case l.exchange != nil: // kafka answers 34 in the API's own layout, then closes; the close is what counts
		return false, errors.New("a request instead of a SASL token")
	}
	return false, fmt.Errorf("request of API %d before login", h.key)
}

func (c *conn) handshakeSASL(h header, body []byte, w *waiting) error {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version = h.version
	if h.version < 0 || h.version > 1 || req.ReadFrom(body) != nil {
		return errors.New("malformed SaslHandshake")
	}
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	l := &c.login
	resp.SupportedMechanisms = c.listener.Mechanisms
	switch {
	case l.done && c.listener.Reauth == 0, l.done && !l.renewed.IsZero() && time.Since(l.renewed) < reauthPause, l.exchange != nil:
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return c.enqueue(*w, told(resp))
	case !slices.Contains(c.listener.Mechanisms, req.Mechanism):
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		c.refused(&sasl.Refusal{Reason: "mechanism is not enabled"}, req.Mechanism)
		return c.enqueue(*w, told(resp))
	case l.done && l.mechanism != req.Mechanism:
		l.exchange = changed{}
	default:
		l.exchange = c.server.checker.New(req.Mechanism)
	}
	l.mechanism, l.raw = req.Mechanism, h.version == 0 && !l.done
	return c.enqueue(*w, told(resp))
}

// changed refuses to sign in again by another mechanism.
type changed struct{}

func (changed) Step([]byte) ([]byte, bool, error) {
	return nil, false, &sasl.Refusal{Text: "Cannot change the mechanism during re-authentication", Reason: "another mechanism"}
}
func (changed) User() string { return "" }

// told answers with a response.
func told(resp kmsg.Response) api.Finish {
	return func(context.Context) api.Answer { return api.Answer{Body: resp.AppendTo(nil)} }
}

// refuseSASL answers SASL requests on a listener without SASL.
func refuseSASL(h header) api.Finish {
	if h.key == int16(kmsg.SASLHandshake) {
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version, resp.ErrorCode = h.version, kerr.IllegalSaslState.Code
		return told(resp)
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	text := "SaslAuthenticate request received on a listener without SASL"
	resp.Version, resp.ErrorCode, resp.ErrorMessage = h.version, kerr.IllegalSaslState.Code, &text
	return told(resp)
}

// rawToken takes a bare token, of a client that spoke SaslHandshake version 0.
func (c *conn) rawToken(f *frame) error {
	w := waiting{raw: true, frame: f}
	answer, done, err := c.step(f.bytes)
	if err != nil {
		f.Release()
		return c.holdBack(err)
	}
	if done {
		c.signedIn()
	}
	return c.enqueue(w, func(context.Context) api.Answer { return api.Answer{Body: answer} })
}

func (c *conn) authenticate(h header, body []byte, w *waiting) error {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version = h.version
	if h.version < 0 || h.version > 2 || req.ReadFrom(body) != nil {
		return errors.New("malformed SaslAuthenticate")
	}
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	if c.login.exchange == nil {
		if !c.login.done {
			return errors.New("SaslAuthenticate before SaslHandshake")
		}
		text := "SaslAuthenticate request received after successful authentication"
		resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, &text
		return c.enqueue(*w, told(resp))
	}
	before := c.session.User
	answer, done, err := c.step(req.SASLAuthBytes)
	if err == nil && done && c.login.done && c.login.exchange.User() != before {
		err = &sasl.Refusal{User: before, Reason: "another user",
			Text: fmt.Sprintf("Cannot change principals during re-authentication from User.%s: User.%s", before, c.login.exchange.User())}
	}
	if err != nil {
		held := c.holdBack(err)
		var refusal *sasl.Refusal
		text := "Authentication failed"
		if errors.As(err, &refusal) {
			text = refusal.Text
		}
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &text
		if err := c.enqueue(*w, told(resp)); err != nil {
			return err
		}
		w.frame.Retain()
		if err := c.enqueue(*w, func(context.Context) api.Answer { return api.Answer{Close: held} }); err != nil {
			return err
		}
		return held
	}
	resp.SASLAuthBytes = answer
	if resp.SASLAuthBytes == nil {
		resp.SASLAuthBytes = []byte{}
	}
	if done {
		c.signedIn()
		resp.SessionLifetimeMillis = c.listener.Reauth.Milliseconds()
	}
	return c.enqueue(*w, told(resp))
}

func (c *conn) step(token []byte) ([]byte, bool, error) { return c.login.exchange.Step(token) }

func (c *conn) signedIn() {
	l := &c.login
	now := time.Now()
	if l.done {
		l.renewed = now
	}
	c.session.User = l.exchange.User()
	l.done, l.exchange = true, nil
	if c.listener.Reauth > 0 {
		l.ends = now.Add(c.listener.Reauth)
	}
	c.net.SetDeadline(time.Time{}) //nolint:errcheck // a dead connection shows at once
}

// holdBack makes a refusal wait, the same time on every path and longer for who
// guesses, and writes its one line.
func (c *conn) holdBack(err error) error {
	var refusal *sasl.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	c.refused(refusal, c.login.mechanism)
	delay := c.server.guess.failed(time.Now(), "ip "+c.host, "user "+refusal.User)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
	return errQuiet
}

func (c *conn) refused(r *sasl.Refusal, mechanism string) {
	c.server.refused.Add(1)
	c.server.o.Log.Warn("sign-in refused", "user", printable(r.User), "mechanism", printable(mechanism),
		"from", c.net.RemoteAddr().String(), "listener", c.listener.Name, "why", r.Reason)
}

const printableMax = 100

// printable keeps a stranger's text from writing lines of its own into the log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), printableMax)]
}

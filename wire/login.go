package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/api"
	"milena/wire/sasl"
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

// awaitsToken says that the next frame is a bare token.
func (c *conn) awaitsToken() bool { return c.login.raw && !c.login.done }

// signIn answers what comes before or around a login. handled false: the
// request goes on to the API.
func (c *conn) signIn(h header, body []byte, w *waiting) (handled bool, err error) {
	l := &c.login
	isSASL := h.key == int16(kmsg.SASLHandshake) || h.key == int16(kmsg.SASLAuthenticate)
	switch {
	case isSASL && !c.needsLogin() && !c.server.serves(h.key, h.version):
		return false, nil // refused as every version is that is not served
	case isSASL && !c.needsLogin():
		w.finish = refuseSASL(h)
		return true, nil
	case h.key == int16(kmsg.SASLHandshake):
		return true, c.handshakeSASL(h, body, w)
	case h.key == int16(kmsg.SASLAuthenticate):
		return true, c.authenticate(h, body, w)
	case l.exchange != nil:
		err := fmt.Errorf("request of API %d instead of a SASL token", h.key)
		if !c.server.serves(h.key, h.version) {
			return false, err
		}
		w.finish, w.last = illegalState(h), err
		return true, nil
	case l.done && l.expired(time.Now()):
		return false, fmt.Errorf("%s did not sign in again within connections.max.reauth.ms", printable(c.session.User))
	case l.done:
		return false, nil
	case h.key == int16(kmsg.ApiVersions) && !l.asked:
		l.asked = c.server.serves(h.key, h.version) // else it may ask in a version that is
		return false, nil
	}
	return false, fmt.Errorf("request of API %d before login", h.key)
}

// illegalState refuses a request in its own layout.
func illegalState(h header) api.Finish {
	req := kmsg.RequestForKey(h.key)
	req.SetVersion(h.version)
	resp := req.ResponseKind()
	if code := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode"); code.IsValid() {
		code.SetInt(int64(kerr.IllegalSaslState.Code))
	}
	return told(resp)
}

func (c *conn) handshakeSASL(h header, body []byte, w *waiting) error {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version = h.version
	if !c.server.serves(h.key, h.version) || req.ReadFrom(body) != nil {
		return errors.New("malformed SaslHandshake")
	}
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	w.finish = told(resp)
	l := &c.login
	switch {
	case l.exchange != nil:
		resp.ErrorCode = kerr.IllegalSaslState.Code
		w.last = errors.New("SaslHandshake instead of a SASL token")
		return nil
	case l.done && (c.listener.Reauth == 0 || !l.renewed.IsZero() && time.Since(l.renewed) < reauthPause):
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return nil
	}
	resp.SupportedMechanisms = c.listener.Mechanisms
	switch {
	case !slices.Contains(c.listener.Mechanisms, req.Mechanism):
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		w.last = errQuiet
		c.refused(&sasl.Refusal{Reason: "the mechanism is not enabled on this listener"}, req.Mechanism)
		return nil
	case l.done && l.mechanism != req.Mechanism:
		l.exchange = changed{}
	default:
		l.exchange = c.server.checker.New(req.Mechanism)
	}
	l.mechanism, l.raw = req.Mechanism, h.version == 0 && !l.done
	return nil
}

// changed refuses to sign in again by another mechanism. Kafka does it without a word.
type changed struct{}

func (changed) Step([]byte) ([]byte, bool, error) {
	return nil, false, &sasl.Refusal{Reason: "another mechanism than at first"}
}
func (changed) User() string { return "" }

// told answers with a response.
func told(resp kmsg.Response) api.Finish {
	return func(context.Context) api.Answer { return api.Answer{Body: resp.AppendTo(nil)} }
}

// refuseSASL answers SASL requests on a listener without SASL. Everybody counts
// as signed in there, so the text is Kafka's for that.
func refuseSASL(h header) api.Finish {
	if h.key == int16(kmsg.SASLHandshake) {
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version, resp.ErrorCode = h.version, kerr.IllegalSaslState.Code
		return told(resp)
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.Version = h.version
	resp.ErrorCode, resp.ErrorMessage = refusal(kerr.IllegalSaslState, "SaslAuthenticate request received after successful authentication")
	return told(resp)
}

// rawToken takes a bare token, of a client that spoke SaslHandshake version 0.
func (c *conn) rawToken(w *waiting) error {
	began := time.Now()
	answer, done, err := c.login.exchange.Step(w.frame.bytes)
	if err != nil {
		return c.holdBack(err, began)
	}
	if done {
		c.signedIn()
	}
	w.raw = true
	w.finish = func(context.Context) api.Answer { return api.Answer{Body: answer} }
	return nil
}

func (c *conn) authenticate(h header, body []byte, w *waiting) error {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version = h.version
	if !c.server.serves(h.key, h.version) || req.ReadFrom(body) != nil {
		return errors.New("malformed SaslAuthenticate")
	}
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	w.finish = told(resp)
	l := &c.login
	switch {
	case l.exchange == nil && l.done:
		resp.ErrorCode, resp.ErrorMessage = refusal(kerr.IllegalSaslState, "SaslAuthenticate request received after successful authentication")
		return nil
	case l.exchange == nil:
		return errors.New("SaslAuthenticate before SaslHandshake")
	}
	began := time.Now()
	answer, done, err := l.exchange.Step(req.SASLAuthBytes)
	if user := l.exchange.User(); err == nil && done && l.done && user != c.session.User {
		err = &sasl.Refusal{User: c.session.User, Reason: "another user than at first",
			Text: fmt.Sprintf("Cannot change principals during re-authentication from User.%s: User.%s", c.session.User, user)}
	}
	if err != nil {
		w.last = c.holdBack(err, began)
		var refused *sasl.Refusal
		if !errors.As(err, &refused) || refused.Text == "" {
			return w.last
		}
		resp.ErrorCode, resp.ErrorMessage = refusal(kerr.SaslAuthenticationFailed, refused.Text)
		return nil
	}
	none := "" // as Kafka has it, not null
	resp.SASLAuthBytes, resp.ErrorMessage = answer, &none
	if done {
		c.signedIn()
		resp.SessionLifetimeMillis = c.listener.Reauth.Milliseconds()
	}
	return nil
}

func refusal(err *kerr.Error, text string) (int16, *string) { return err.Code, &text }

func (c *conn) signedIn() {
	l := &c.login
	now := time.Now()
	if l.done {
		l.renewed = now
	}
	c.session.User = l.exchange.User()
	if l.mechanism == "PLAIN" && c.listener.Protocol == "SASL_PLAINTEXT" {
		c.counters.inClear.Do(c.warnInClear)
	}
	l.done, l.exchange = true, nil
	if c.listener.Reauth > 0 {
		l.ends = now.Add(c.listener.Reauth)
	}
}

const inClear = "a password came in clear"

// warnInClear is said once for a listener: whoever set it up has then read it.
func (c *conn) warnInClear() {
	c.server.o.Log.Warn(inClear+": PLAIN on a listener without TLS, so whoever sees the network sees it; SCRAM hides it, SASL_SSL hides everything",
		"user", printable(c.session.User), "from", c.socket.RemoteAddr().String(), "listener", c.listener.Name)
}

// holdBack makes a refusal wait, the same time on every path and longer for who
// guesses, and writes its one line. The time counts from the token, so that how
// long the check took does not show.
func (c *conn) holdBack(err error, began time.Time) error {
	var refused *sasl.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	c.refused(refused, c.login.mechanism)
	delay := c.server.guess.failed(began, c.host, refused.User)
	timer := time.NewTimer(time.Until(began.Add(delay)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
	return errQuiet
}

func (c *conn) refused(r *sasl.Refusal, mechanism string) {
	c.counters.refused.Add(1)
	c.server.refused.say(slog.LevelWarn, "sign-in refused", "user", printable(r.User), "mechanism", printable(mechanism),
		"from", c.socket.RemoteAddr().String(), "listener", c.listener.Name, "why", r.Reason)
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

package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"milena/api"
)

func length(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func TestAnImpossibleLengthClosesTheConnection(t *testing.T) {
	const limit = 1 << 20
	for _, n := range []int32{0, -1, -1 << 31, 1<<31 - 1, limit + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, echo, options{Options: Options{FrameMax: limit}})
				p := r.dial()
				p.send(length(n))
				p.closed()
				synctest.Wait()
				r.oneLine("connection closed", fmt.Sprintf("a request of %d bytes (at most %d)", n, limit), "192.0.2.1", "PLAINTEXT")
				if failed := r.Stats().Listeners[0].Failed; failed != 1 {
					t.Errorf("%d failed connections are counted, want 1", failed)
				}
				r.stop()
				r.given()
			})
		})
	}
}

func TestFramesAreSmallBeforeALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		o := withUsers()
		o.FrameMax = limit
		r := run(t, echo, o)
		padded := func(whole int) []byte { // an ApiVersions request and bytes that nobody reads
			empty := request(18, 0, 1, nil)
			return request(18, 0, 1, make([]byte, whole+4-len(empty)))
		}
		p := r.dial()
		p.sendLater(padded(loginFrameMax))
		p.answered(1)

		p = r.dial()
		p.send(length(loginFrameMax + 1))
		p.closed()
		synctest.Wait()
		r.oneLine(fmt.Sprintf("a request of %d bytes (at most %d)", loginFrameMax+1, loginFrameMax))

		p = r.dial()
		p.signIn()
		p.sendLater(padded(limit))
		p.answered(1)
		p.send(length(limit + 1))
		p.closed()
		r.stop()
		r.given()
	})
}

func TestASilentClientIsNotWaitedForForEver(t *testing.T) {
	long := plain(1, 2<<20)
	for name, tt := range map[string]struct {
		sent  []byte
		sasl  bool
		after time.Duration
		line  string // empty: it is no failure
	}{
		"nothing":            {sent: nil, after: 10 * time.Minute},
		"half a length":      {sent: []byte{0, 0}, after: 10 * time.Minute},
		"half a small frame": {sent: plain(1, 90)[:20], after: frameTime, line: "stopped after 16"},
		"half a large frame": {sent: long[:len(long)/2], after: 2 * frameTime, line: fmt.Sprintf("a request of %d bytes stopped after %d", len(long)-4, len(long)/2-4)},
		"no login":           {sasl: true, after: loginTime, line: "did not sign in within 15s"},
		"half a login":       {sasl: true, sent: handshake(1, 1, "PLAIN"), after: loginTime, line: "did not sign in within 15s"},
		"half a token":       {sasl: true, sent: append(handshake(1, 1, "PLAIN"), token(1, 2, "x")[:9]...), after: loginTime, line: "stopped after 5"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options{}
				if tt.sasl {
					o = withUsers()
				}
				o.IdleMax = 10 * time.Minute
				r := run(t, echo, o)
				p := r.dial()
				began := time.Now()
				p.sendLater(tt.sent)
				io.Copy(io.Discard, p) //nolint:errcheck // until it is closed
				if took := time.Since(began); took > tt.after || took < tt.after-frameTime {
					t.Errorf("closed after %v, want %v", took, tt.after)
				}
				synctest.Wait()
				if tt.line == "" {
					r.noLines()
				} else {
					r.oneLine("connection closed", tt.line)
				}
				r.stop()
				r.given()
			})
		})
	}
}

// Somebody who sends a byte now and then is no better than who sends none.
func TestALoginHasATimeForAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, withUsers())
		defer r.stop()
		p := r.dial()
		began := time.Now()
		for _, b := range append(handshake(1, 1, "PLAIN"), token(1, 2, "x")...) {
			if _, err := p.Write([]byte{b}); err != nil {
				break
			}
			go io.CopyN(io.Discard, p, 1) //nolint:errcheck // a byte of the answer
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > loginTime+time.Second {
			t.Errorf("the login may take %v", took)
		}
	})
}

func TestALargeFrameMayComeSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		defer r.stop()
		p := r.dial()
		whole := plain(1, 5*readWindow)
		for len(whole) > 0 {
			n := min(readWindow, len(whole))
			p.send(whole[:n])
			whole = whole[n:]
			time.Sleep(frameTime - time.Second)
		}
		p.answered(1)
	})
}

func TestWhoWaitsForAnAnswerIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) { return sleepy(time.Hour), nil }, options{Options: Options{IdleMax: time.Minute}})
		defer r.stop()
		p := r.dial()
		began := time.Now()
		p.send(plain(1, 0))
		p.answered(1)
		if took := time.Since(began); took != time.Hour {
			t.Errorf("the request is given up after %v", took)
		}
		began = time.Now()
		p.closed()
		if idle := time.Since(began); idle > time.Minute {
			t.Errorf("closed after %v of silence, want a minute", idle)
		}
		r.noLines()
	})
}

func TestWithoutAnIdleTimeNobodyIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{Options: Options{IdleMax: -1}})
		defer r.stop()
		p := r.dial()
		time.Sleep(100 * time.Hour)
		p.send(plain(1, 0))
		p.answered(1)
	})
}

func TestAMalformedHeaderClosesTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"seven bytes":             make([]byte, 7),
		"no client id":            make([]byte, 8),
		"a client id of -2 bytes": {0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xfe, 0, 0, 0, 0},
		"a client id too long":    {0, 3, 0, 0, 0, 0, 0, 1, 0, 9, 'x'},
		"2^28 tags":               {0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"an unknown API":          {0x12, 0x34, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"an API below zero":       {0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"half a body":             {0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, echo, options{})
				p := r.dial()
				p.send(framed(b))
				p.closed()
				synctest.Wait()
				r.oneLine("connection closed")
				r.stop()
				r.given()
			})
		})
	}
}

// FuzzFrame sends a stream of bytes to a server, whole and in two parts: the
// process lives, every connection ends, and what a frame took comes back.
func FuzzFrame(f *testing.F) {
	f.Add(plain(1, 0), uint16(3))
	f.Add(append(plain(1, 5000), plain(2, 0)...), uint16(4100))
	f.Add(append(handshake(1, 1, "PLAIN"), token(1, 2, "\x00alice\x00"+password)...), uint16(9))
	f.Add(append(handshake(0, 1, "PLAIN"), framed([]byte("\x00alice\x00"+password))...), uint16(30))
	f.Add(append(handshake(1, 1, "SCRAM-SHA-256"), token(2, 2, "n,,n=alice,r=abc")...), uint16(50))
	f.Add(length(-1), uint16(2))
	f.Add(length(1<<30), uint16(4))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(1))
	f.Add([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, uint16(5))
	f.Add(request(18, 3, 1, []byte{1, 1, 0xff, 0xff, 0xff, 0x7f}), uint16(10))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		for _, o := range []options{{}, withUsers()} {
			synctest.Test(t, func(t *testing.T) {
				o.IdleMax = time.Minute
				r := run(t, func(_ *api.Session, q api.Request) (api.Finish, error) {
					copied := bytes.Clone(q.Body) // all of it may be read
					return answering(copied[:min(len(copied), 10)]), nil
				}, o)
				p := r.dial()
				go io.Copy(io.Discard, p) //nolint:errcheck // until it is closed
				at := min(int(cut), len(stream))
				for _, part := range [][]byte{stream[:at], stream[at:]} {
					p.Write(part) //nolint:errcheck // it may be closed
					time.Sleep(time.Millisecond)
				}
				p.Close()
				synctest.Wait()
				time.Sleep(guessDelay + lingerTime)
				if n := r.Stats().Listeners[0].Connections; n != 0 {
					t.Errorf("%d connections are open after their end", n)
				}
				if n := r.Stats().Panics; n != 0 {
					t.Errorf("%d panics: %v", n, r.log.lines())
				}
				if lines := r.log.lines(); len(lines) > 2 { // a refused sign-in, and what else was wrong
					t.Errorf("%d lines of one connection: %v", len(lines), lines)
				}
				r.stop()
				r.given()
			})
		}
	})
}

package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/api"
	"milena/wire/shape"
)

const readBuffer = 4 << 10

// conn is one connection: a reader that starts requests, a writer that
// finishes them, and a queue between the two.
type conn struct {
	server   *Server
	listener Listener
	counters *counters
	socket   net.Conn // below TLS; whoever ends the connection uses this
	net      net.Conn // the reader's and the writer's
	in       *bufio.Reader
	host     string
	session  api.Session
	login    login
	loginBy  time.Time
	share    *budget // of the bytes under way

	queue   chan waiting
	pending atomic.Int32    // requests under way
	fell    atomic.Bool     // by a panic
	ctx     context.Context // ends when the client is gone
	cancel  context.CancelCauseFunc
}

// waiting is a request that was started.
type waiting struct {
	finish      api.Finish
	key         int16
	correlation int32
	flexible    bool // the response header has a tag byte
	raw         bool // a SASL token: no header at all
	frame       *frame
	last        error // closes the connection when this is answered
}

func newConn(s *Server, l Listener, counters *counters, c net.Conn) *conn {
	one := &conn{server: s, listener: l, counters: counters, socket: c, net: c, share: newBudget(shareBytes, 0), queue: make(chan waiting, queueMax)}
	one.host, _, _ = net.SplitHostPort(c.RemoteAddr().String())
	return one
}

var (
	errQuiet   = errors.New("closed") // closes a connection without a word in the log
	errHungUp  = errors.New("the client hung up")
	errLogin   = fmt.Errorf("it did not sign in within %v", loginTime)
	errTooSlow = fmt.Errorf("it took less than %d bytes of an answer within %v", sendWindow, writeTime)
)

// serve runs the connection until it ends, and says why if that is worth a line.
func (c *conn) serve() {
	c.ctx, c.cancel = context.WithCancelCause(c.server.life)
	defer c.server.gone(c)
	defer c.cancel(errQuiet)
	defer c.net.Close()
	err := c.run()
	if c.server.isClosed() || quiet(err) {
		return
	}
	c.counters.failed.Add(1)
	c.server.failed.say(slog.LevelWarn, "connection closed", "listener", c.listener.Name, "from", c.socket.RemoteAddr().String(), "why", err.Error())
}

// quiet says that nothing is wrong with a connection that ended so, or nothing
// that anybody here could mend: hung up, reset, idle.
func quiet(err error) bool {
	if _, refused := alert(err); refused {
		return false
	}
	for _, usual := range []error{errQuiet, errHungUp, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE, os.ErrDeadlineExceeded} {
		if errors.Is(err, usual) {
			return true
		}
	}
	return err == nil
}

// run serves the connection:
//
//	1 TLS      if the listener has it
//	2 read     start requests until the client ends, errs or hangs up
//	3 linger   what was started before that is still answered
func (c *conn) run() error {
	c.loginBy = time.Now().Add(loginTime)
	c.readUntil(c.loginBy)
	if c.listener.TLS != nil {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	c.open()
	c.in = bufio.NewReaderSize(c.net, readBuffer)
	written := make(chan error, 1)
	go func() { written <- c.write() }()
	err := c.read()
	close(c.queue)
	if failed := c.linger(err, written); quiet(err) {
		return failed
	}
	return err
}

// linger waits for the writer. A client may stop writing and still wait for
// answers, so those have some time; then what still waits is ended.
func (c *conn) linger(err error, written <-chan error) error {
	if errors.Is(err, syscall.ECONNRESET) {
		c.cancel(errHungUp)
	}
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case err := <-written:
		return err
	case <-timer.C:
		c.cancel(errHungUp)
	}
	return <-written
}

// handshake does TLS, and says what it saw if that is not what came.
func (c *conn) handshake() error {
	first := &sniffer{Conn: c.socket}
	t := tls.Server(first, c.listener.TLS)
	ctx, cancel := context.WithDeadline(c.ctx, c.loginBy)
	defer cancel()
	err := t.HandshakeContext(ctx)
	switch {
	case err == nil:
		c.net = t
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return errQuiet // somebody looked whether the port is open
	}
	return fmt.Errorf("TLS handshake failed: %s%s", advise(err), looksLike(first.seen, true))
}

// open fills in the session: who this is so far, and where the client reaches us.
func (c *conn) open() {
	c.session = api.Session{Listener: c.listener.Name, Protocol: c.listener.Protocol, Host: c.host, Advertised: c.advertised()}
	if !c.needsLogin() {
		c.session.User = "ANONYMOUS"
		c.login.done = true
	}
}

func (c *conn) needsLogin() bool {
	return c.listener.Protocol == "SASL_PLAINTEXT" || c.listener.Protocol == "SASL_SSL"
}

// readUntil bounds the next reads. When the server stops, they end at once.
func (c *conn) readUntil(t time.Time) {
	c.socket.SetReadDeadline(t) //nolint:errcheck // a dead connection shows when it is read
	if c.server.isClosed() {
		c.stopReading()
	}
}

// stopReading ends the reader: what was started is still answered.
func (c *conn) stopReading() { c.socket.SetReadDeadline(time.Now()) } //nolint:errcheck // it is closed then

// read starts requests until the connection ends.
func (c *conn) read() error {
	for {
		f, err := c.frame()
		if err == nil {
			err = c.start(f)
		}
		if err != nil {
			return err
		}
	}
}

const noKey = -1

// caught turns a panic into the end of this connection.
func (c *conn) caught(key *int16, err *error) {
	p := recover()
	if p == nil {
		return
	}
	*err = errQuiet
	if c.fell.Swap(true) {
		return // it has been told
	}
	c.server.panics.Add(1)
	c.server.panicked.say(slog.LevelError, "a handler panicked; its connection is closed", "api", kmsg.NameForKey(*key),
		"listener", c.listener.Name, "from", c.socket.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.cancel(errQuiet)
	c.socket.Close()
}

// frame reads the next request's bytes.
func (c *conn) frame() (*frame, error) {
	n, err := c.length()
	if err != nil {
		return nil, err
	}
	// A frame that fits the buffer takes of the budget when it is whole, so
	// that nobody holds some by saying nothing.
	if c.in.Buffered() < n && n <= readBuffer {
		c.readUntil(c.frameBy())
		if _, err := c.in.Peek(n); err != nil {
			return nil, c.stalled(err, n, c.in.Buffered())
		}
	}
	f, err := c.admit(n)
	if err != nil {
		return nil, err
	}
	for at := 0; at < n; {
		window := f.bytes[at:min(n, at+readWindow)]
		if c.in.Buffered() < len(window) {
			c.readUntil(c.frameBy())
		}
		got, err := io.ReadFull(c.in, window)
		at += got
		if err != nil {
			f.Release()
			return nil, c.stalled(err, n, at)
		}
	}
	c.counters.received.Add(uint64(n) + 4)
	return f, nil
}

// length waits for a request, and reads how long it is.
func (c *conn) length() (int, error) {
	size, err := c.await()
	if err != nil {
		return 0, err
	}
	n, limit := int(int32(binary.BigEndian.Uint32(size))), c.frameMax()
	if n < 0 || n > limit || n == 0 && !c.awaitsToken() {
		start, _ := c.in.Peek(min(c.in.Buffered(), strangerBytes))
		return 0, fmt.Errorf("a request of %d bytes (at most %d)%s", n, limit, looksLike(start, false))
	}
	c.in.Discard(4) //nolint:errcheck // they were peeked
	return n, nil
}

// await waits for the first bytes of a request. A client that waits for an
// answer is not idle.
func (c *conn) await() ([]byte, error) {
	for {
		by := c.loginBy
		if c.login.done {
			by = time.Time{}
			if idle := c.server.o.IdleMax; idle > 0 {
				by = time.Now().Add(idle)
			}
		}
		c.readUntil(by)
		size, err := c.in.Peek(4)
		switch {
		case err == nil:
			return size, nil
		case !c.timedOut(err):
			return nil, advise(err)
		case !c.login.done:
			return nil, errLogin
		case c.pending.Load() == 0:
			return nil, err
		}
	}
}

// timedOut says that the client let its time pass; deadlines also end reading
// when the connection is given up.
func (c *conn) timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !c.server.isClosed() && c.ctx.Err() == nil
}

// frameBy is until when the next readWindow bytes must have come.
func (c *conn) frameBy() time.Time {
	if !c.login.done {
		return c.loginBy
	}
	return time.Now().Add(frameTime)
}

// stalled says how much of a frame came.
func (c *conn) stalled(err error, n, got int) error {
	if c.timedOut(err) {
		return fmt.Errorf("a request of %d bytes stopped after %d", n, got)
	}
	return err
}

// admit waits until a frame's bytes may be under way: first as part of its
// connection's share, then of everybody's.
func (c *conn) admit(n int) (*frame, error) {
	all := c.server.budget
	if !c.login.done && n > readBuffer {
		all = c.server.loginBudget
	}
	own, ok := c.share.take(c.ctx, n)
	if !ok {
		return nil, errQuiet
	}
	taken, ok := all.take(c.ctx, n)
	if !ok {
		c.share.give(own)
		return nil, errQuiet
	}
	f := &frame{bytes: c.server.pool.get(n), pool: &c.server.pool, costs: [2]cost{{c.share, own}, {all, taken}}}
	f.refs.Store(1)
	return f, nil
}

func (c *conn) frameMax() int {
	if !c.login.done {
		return loginFrameMax
	}
	return c.server.o.FrameMax
}

// start starts a request, and puts it into the queue; else its frame is let go of.
func (c *conn) start(f *frame) (err error) {
	w := waiting{key: noKey, frame: f}
	queued := false
	defer func() {
		if !queued {
			f.Release()
		}
	}()
	defer c.caught(&w.key, &err)
	if c.awaitsToken() {
		err = c.rawToken(&w)
	} else {
		err = c.request(&w)
	}
	if err != nil {
		return err
	}
	c.pending.Add(1)
	c.queue <- w // the writer takes it, whatever happens: what was started is answered, also when the server stops
	queued = true
	return w.last
}

// request parses a request's header, and starts the request: signing in is
// answered here, all else by the API.
func (c *conn) request(w *waiting) error {
	h, body, err := parseHeader(w.frame.bytes)
	if err != nil {
		return err
	}
	w.key, w.correlation, w.flexible = h.key, h.correlation, h.flexible && h.key != int16(kmsg.ApiVersions)
	if count, served := c.server.requests[h.key]; served {
		count.Add(1)
	}
	if err := c.check(h, body); err != nil {
		return fmt.Errorf("request of API %d version %d%s: %w", h.key, h.version, c.beforeLogin(), err)
	}
	if handled, err := c.signIn(h, body, w); handled || err != nil {
		return err
	}
	c.session.ClientID = h.client
	w.finish, err = c.server.o.API.Start(&c.session, api.Request{
		Key: h.key, Version: h.version, ClientID: h.client, Body: body, Lease: w.frame, Received: c.server.o.Now(),
	})
	return err
}

// check checks the shape of what is served; the rest is never decoded, and
// refused or, ApiVersions, answered by the API.
func (c *conn) check(h header, body []byte) error {
	if _, served := c.server.versions[h.key]; served && !c.server.serves(h.key, h.version) {
		return nil
	}
	return shape.Check(h.key, h.version, body)
}

func (c *conn) beforeLogin() string {
	if c.login.done {
		return ""
	}
	return " before login"
}

// header is a request's.
type header struct {
	key, version int16
	correlation  int32
	client       string
	flexible     bool
}

// parseHeader reads a header of version 1 or 2; the body is what is behind it.
func parseHeader(b []byte) (header, []byte, error) {
	if len(b) < 8 {
		return header{}, nil, errors.New("a request shorter than its header")
	}
	h := header{
		key: int16(binary.BigEndian.Uint16(b)), version: int16(binary.BigEndian.Uint16(b[2:])),
		correlation: int32(binary.BigEndian.Uint32(b[4:])),
	}
	b = b[8:]
	h.flexible = shape.Flexible(h.key, h.version)
	if len(b) < 2 {
		return h, nil, errors.New("a request without a client id")
	}
	n := int(int16(binary.BigEndian.Uint16(b)))
	b = b[2:]
	if n < -1 || n > len(b) {
		return h, nil, errors.New("a client id longer than its request")
	}
	if n > 0 {
		h.client, b = string(b[:n]), b[n:]
	}
	if h.flexible {
		rest, err := shape.SkipTags(b)
		if err != nil {
			return h, nil, fmt.Errorf("request header: %w", err)
		}
		b = rest
	}
	return h, b, nil
}

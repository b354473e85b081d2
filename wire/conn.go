package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
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
	net      net.Conn
	in       *bufio.Reader
	host     string
	session  api.Session
	login    login

	queue  chan waiting
	ctx    context.Context // ends when the client is gone
	cancel context.CancelCauseFunc
}

// waiting is a request that was started.
type waiting struct {
	finish      api.Finish
	correlation int32
	flexible    bool // the response header has a tag byte
	raw         bool // a SASL token: no header at all
	frame       *frame
}

func newConn(s *Server, l Listener, c net.Conn) *conn {
	one := &conn{server: s, listener: l, net: c, queue: make(chan waiting, queueMax)}
	one.host, _, _ = net.SplitHostPort(c.RemoteAddr().String())
	one.ctx, one.cancel = context.WithCancelCause(s.life)
	return one
}

// errQuiet closes a connection without a word in the log.
var errQuiet = errors.New("closed")

// serve runs the connection until it ends, and says why if that is worth a line.
func (c *conn) serve() {
	defer c.server.gone(c)
	defer c.net.Close()
	err := c.run()
	if err == nil || errors.Is(err, errQuiet) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || c.server.isClosed() {
		return
	}
	var netErr net.Error
	if errors.As(err, &netErr) && !errors.Is(err, errHandshake) {
		return // idle too long, or reset
	}
	c.server.o.Log.Warn("connection closed", "listener", c.listener.Name, "from", c.net.RemoteAddr().String(), "why", err.Error())
}

var errHandshake = errors.New("TLS handshake failed")

func (c *conn) run() (err error) {
	c.net.SetDeadline(time.Now().Add(loginTime)) //nolint:errcheck // a dead connection shows at once
	if c.listener.TLS != nil {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	c.open()
	c.in = bufio.NewReaderSize(c.net, readBuffer)
	written := make(chan error, 1)
	go func() { written <- c.write() }()
	err = c.read()
	close(c.queue)
	if !errors.Is(err, io.EOF) && !c.server.isClosed() {
		c.cancel(err)
	}
	return errors.Join(<-written, err)
}

// handshake does TLS, and says what it saw if that is not what came.
func (c *conn) handshake() error {
	first := &sniffer{Conn: c.net}
	t := tls.Server(first, c.listener.TLS)
	ctx, cancel := context.WithTimeout(c.ctx, loginTime)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		if errors.Is(err, io.EOF) {
			return errQuiet
		}
		return fmt.Errorf("%w: %w%s", errHandshake, err, looksLike(first.seen, true))
	}
	c.net = t
	return nil
}

// sniffer remembers the first bytes that came.
type sniffer struct {
	net.Conn
	seen []byte
}

func (s *sniffer) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if len(s.seen) < 8 {
		s.seen = append(s.seen, b[:min(n, 8-len(s.seen))]...)
	}
	return n, err
}

// looksLike says what the first bytes of something that is no Kafka request are.
func looksLike(b []byte, onTLS bool) string {
	switch {
	case len(b) >= 3 && b[0] == 0x16 && b[1] == 3 && !onTLS:
		return ": this looks like TLS on a listener without TLS"
	case bytes.HasPrefix(b, []byte("GET ")), bytes.HasPrefix(b, []byte("POST")), bytes.HasPrefix(b, []byte("HEAD")), bytes.HasPrefix(b, []byte("PUT ")):
		return ": this looks like HTTP"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return ": this looks like SSH"
	case onTLS && len(b) >= 4 && b[0] == 0 && b[1] == 0:
		return ": this looks like Kafka without TLS on a TLS listener"
	}
	return ""
}

// open fills in the session: who this is so far, and where the client reaches us.
func (c *conn) open() {
	c.session = api.Session{Listener: c.listener.Name, Protocol: c.listener.Protocol, Host: c.host, Advertised: c.advertised()}
	if !c.needsLogin() {
		c.session.User = "ANONYMOUS"
	}
}

func (c *conn) needsLogin() bool {
	return c.listener.Protocol == "SASL_PLAINTEXT" || c.listener.Protocol == "SASL_SSL"
}

// advertised is the fixed address, else the one that the client used.
func (c *conn) advertised() api.Address {
	bound := c.listener.Socket.Addr().(*net.TCPAddr).Port
	if a := c.listener.Advertised; a != nil {
		if a.Port != 0 {
			return api.Address{Host: a.Host, Port: int32(a.Port)}
		}
		return api.Address{Host: a.Host, Port: int32(bound)}
	}
	at := api.Address{Port: int32(bound)}
	if t, ok := c.net.(*tls.Conn); ok {
		if name := t.ConnectionState().ServerName; name != "" && net.ParseIP(name) == nil {
			at.Host = name
			return at
		}
	}
	local, ok := c.net.LocalAddr().(*net.TCPAddr)
	if !ok || local.IP.IsLoopback() && local.IP.To4() != nil {
		at.Host = "localhost"
		return at
	}
	at.Host = local.IP.String()
	return at
}

// stopReading ends the reader: what was started is still answered.
func (c *conn) stopReading() { c.net.SetReadDeadline(time.Now()) } //nolint:errcheck // it is closed then

// read starts requests until the connection ends.
func (c *conn) read() (err error) {
	defer c.caught(&err)
	for {
		f, err := c.frame()
		if err != nil {
			return err
		}
		if err := c.start(f); err != nil {
			return err
		}
	}
}

// caught turns a panic into the end of this connection.
func (c *conn) caught(err *error) {
	if p := recover(); p != nil {
		c.server.panics.Add(1)
		c.server.o.Log.Error("a handler panicked; its connection is closed", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = errQuiet
		c.cancel(errQuiet)
		c.net.Close()
	}
}

// frame reads the next request's bytes.
func (c *conn) frame() (*frame, error) {
	if c.login.done || !c.needsLogin() {
		idle := c.server.o.IdleMax
		if idle > 0 {
			c.net.SetReadDeadline(time.Now().Add(idle)) //nolint:errcheck // a dead connection shows below
		}
		if c.server.isClosed() {
			c.stopReading()
		}
	}
	size, err := c.in.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size)))
	if limit := c.frameMax(); n <= 0 && !c.login.raw || n < 0 || n > limit {
		start, _ := c.in.Peek(min(c.in.Buffered(), 8))
		return nil, fmt.Errorf("a request of %d bytes (at most %d)%s", n, limit, looksLike(start, false))
	}
	c.in.Discard(4) //nolint:errcheck // they were peeked
	if c.in.Buffered() < n {
		c.net.SetReadDeadline(time.Now().Add(frameTime)) //nolint:errcheck // as above
	}
	if !c.server.budget.take(c.ctx, n) {
		return nil, errQuiet
	}
	f := &frame{bytes: c.server.pool.get(n), server: c.server, cost: n}
	f.refs.Store(1)
	if _, err := io.ReadFull(c.in, f.bytes); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

func (c *conn) frameMax() int {
	if c.needsLogin() && !c.login.done {
		return loginFrameMax
	}
	return c.server.o.FrameMax
}

// start parses a request's header, and starts the request.
func (c *conn) start(f *frame) error {
	if c.login.raw && !c.login.done {
		return c.rawToken(f)
	}
	h, body, err := parseHeader(f.bytes)
	if err != nil {
		f.Release()
		return err
	}
	if h.key >= 0 && h.key < apisMax {
		c.server.requests[h.key].Add(1)
	}
	w := waiting{correlation: h.correlation, flexible: h.flexible && h.key != int16(kmsg.ApiVersions), frame: f}
	if c.needsLogin() && (!c.login.done || h.key == int16(kmsg.SASLHandshake) || h.key == int16(kmsg.SASLAuthenticate) || c.login.expired(time.Now())) {
		handled, err := c.signIn(h, body, &w)
		if err != nil || handled {
			if err != nil {
				f.Release()
			}
			return err
		}
	} else if h.key == int16(kmsg.SASLHandshake) || h.key == int16(kmsg.SASLAuthenticate) {
		return c.enqueue(w, refuseSASL(h))
	}
	if err := shape.Check(h.key, h.version, body); err != nil {
		f.Release()
		return fmt.Errorf("request of API %d version %d: %w", h.key, h.version, err)
	}
	c.session.ClientID = h.client
	finish, err := c.server.o.API.Start(&c.session, api.Request{
		Key: h.key, Version: h.version, ClientID: h.client, Body: body, Lease: f, Received: time.Now(),
	})
	if err != nil {
		f.Release()
		return err
	}
	return c.enqueue(w, finish)
}

func (c *conn) enqueue(w waiting, finish api.Finish) error {
	w.finish = finish
	select {
	case c.queue <- w:
		return nil
	case <-c.ctx.Done():
		w.frame.Release()
		return errQuiet
	}
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

package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/api"
	"milena/config"
	"milena/machine/cluster"
	"milena/wire/sasl"
)

// fake serves every API that the tests send, by one function.
type fake func(s *api.Session, r api.Request) (api.Finish, error)

func (f fake) Start(s *api.Session, r api.Request) (api.Finish, error) { return f(s, r) }

func (f fake) Versions() []api.VersionRange {
	return []api.VersionRange{{Key: 0, Min: 3, Max: 13}, {Key: 1, Min: 4, Max: 18}, {Key: 3, Min: 0, Max: 13}, {Key: 17, Min: 0, Max: 1}, {Key: 18, Min: 0, Max: 4}, {Key: 36, Min: 0, Max: 2}}
}

// echo answers at once with nothing but a header.
func echo(*api.Session, api.Request) (api.Finish, error) { return answering(nil), nil }

func answering(body []byte) api.Finish {
	return func(context.Context) api.Answer { return api.Answer{Body: body} }
}

// untilGone waits as a long poll does, and says when it was ended.
func untilGone(ended chan<- time.Time) fake {
	return func(*api.Session, api.Request) (api.Finish, error) {
		return func(ctx context.Context) api.Answer {
			<-ctx.Done()
			ended <- time.Now()
			return api.Answer{}
		}, nil
	}
}

// notes keeps the lines of a log.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

// lines are those about what went wrong: signIn is by PLAIN, whose warning stands
// in a test of its own.
func (n *notes) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	for line := range strings.Lines(n.text.String()) {
		if !strings.Contains(line, inClear) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// running is a server with one listener.
type running struct {
	*Server
	t    *testing.T
	log  *notes
	open func() (net.Conn, error)
}

// options of a test's server; the zero value serves PLAINTEXT.
type options struct {
	Options
	listener config.Listener
	tls      *tls.Config
	tcp      bool // loopback, else in memory
	budget   int  // instead of inFlightBytes
}

func run(t *testing.T, serve fake, o options) *running {
	t.Helper()
	r := &running{t: t, log: new(notes)}
	o.API = serve
	o.Log = slog.New(slog.NewTextHandler(r.log, nil))
	if o.FrameMax == 0 {
		o.FrameMax = 100 << 20
	}
	if o.Users == nil {
		o.Users = func(string) (*cluster.User, bool) { return nil, false }
	}
	if o.listener.Protocol == "" {
		o.listener.Protocol = "PLAINTEXT"
	}
	if o.listener.Name == "" {
		o.listener.Name = o.listener.Protocol
	}
	r.Server = NewServer(o.Options)
	if o.budget > 0 {
		r.Server.budget = newBudget(o.budget, reserveBytes)
	}
	l := Listener{Listener: o.listener, TLS: o.tls}
	if o.tcp {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Socket = socket
		r.open = func() (net.Conn, error) { return net.Dial("tcp", socket.Addr().String()) }
	} else {
		m := newMemory()
		l.Socket = m
		r.open = m.dial
	}
	r.Serve(l)
	return r
}

// stop ends the server, and what it started.
func (r *running) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
}

// given says that every byte of every budget came back.
func (r *running) given() {
	r.t.Helper()
	for name, b := range map[string]*budget{"all": r.budget, "login": r.loginBudget} {
		b.mu.Lock()
		if b.left != b.size || len(b.large)+len(b.small) > 0 {
			r.t.Errorf("budget %s: %d of %d bytes are left, %d wait", name, b.left, b.size, len(b.large)+len(b.small))
		}
		b.mu.Unlock()
	}
	if r.budget.reserve != reserveBytes {
		r.t.Errorf("the reserve has %d bytes, want %d", r.budget.reserve, reserveBytes)
	}
}

// oneLine says that the log is one line with these words.
func (r *running) oneLine(words ...string) {
	r.t.Helper()
	lines := r.log.lines()
	if len(lines) != 1 {
		r.t.Fatalf("%d lines, want one about %q:\n%s", len(lines), words, strings.Join(lines, "\n"))
	}
	for _, word := range words {
		if !strings.Contains(lines[0], word) {
			r.t.Errorf("the line does not say %q: %s", word, lines[0])
		}
	}
}

func (r *running) noLines() {
	r.t.Helper()
	if lines := r.log.lines(); len(lines) > 0 {
		r.t.Errorf("nothing is wrong, but it says:\n%s", strings.Join(lines, "\n"))
	}
}

// peer is a client's end of a connection.
type peer struct {
	net.Conn
	t *testing.T
}

func (r *running) dial() *peer {
	r.t.Helper()
	c, err := r.open()
	if err != nil {
		r.t.Fatal(err)
	}
	return &peer{c, r.t}
}

// request is a frame, its length in front.
func request(key, version int16, correlation int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, 0, 4, 't', 'e', 's', 't')
	if probe := kmsg.RequestForKey(key); probe != nil {
		if probe.SetVersion(version); probe.IsFlexible() {
			b = append(b, 0)
		}
	}
	return framed(append(b, body...))
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// plain is a request of Metadata v0 for all topics, behind it so many bytes
// that nobody reads.
func plain(correlation int32, padding int) []byte {
	return request(3, 0, correlation, make([]byte, 4+padding))
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// sendLater writes in the background, for somebody who waits for an answer
// meanwhile; a failure shows there.
func (p *peer) sendLater(b []byte) {
	go p.Write(b) //nolint:errcheck // as said
}

// frame reads one answer; an error says that the connection was closed.
func (p *peer) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(p, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(p, b)
	return b, err
}

// answered reads one answer, and wants it to be of that request.
func (p *peer) answered(correlation int32) []byte {
	p.t.Helper()
	b, err := p.frame()
	if err != nil {
		p.t.Fatalf("request %d is not answered: %v", correlation, err)
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != correlation {
		p.t.Fatalf("request %d is answered, want %d", got, correlation)
	}
	return b[4:]
}

// closed wants the connection's end, and nothing before it.
func (p *peer) closed() {
	p.t.Helper()
	if b, err := p.frame(); err == nil {
		p.t.Fatalf("an answer of %d bytes, want the connection closed", len(b))
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		p.t.Fatalf("closed in the middle of an answer")
	}
}

// memory is a listener without a network, for a test whose time is made up.
type memory struct {
	calls chan net.Conn
	gone  chan struct{}
	once  sync.Once
	mu    sync.Mutex
	port  int
	from  net.IP
}

func newMemory() *memory {
	return &memory{calls: make(chan net.Conn), gone: make(chan struct{}), port: 40_000, from: net.IPv4(192, 0, 2, 1)}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.calls:
		return c, nil
	case <-m.gone:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.gone) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 9092} }

func (m *memory) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	m.mu.Lock()
	m.port++
	from := &net.TCPAddr{IP: m.from, Port: m.port}
	m.mu.Unlock()
	select {
	case m.calls <- addressed{theirs, m.Addr(), from}:
		return ours, nil
	case <-m.gone:
		return nil, net.ErrClosed
	}
}

// addressed is a connection with addresses.
type addressed struct {
	net.Conn
	local, remote net.Addr
}

func (a addressed) LocalAddr() net.Addr  { return a.local }
func (a addressed) RemoteAddr() net.Addr { return a.remote }

const password = "alice-secret"

// everybody is alice and admin, made once, for it takes a while.
var everybody = sync.OnceValue(func() map[string]*cluster.User {
	users := make(map[string]*cluster.User)
	for name, secret := range map[string]string{"alice": password, "admin": "admin-secret"} {
		u := &cluster.User{Name: name, Verifiers: make(map[cluster.Mechanism]cluster.Verifier)}
		for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
			v, err := sasl.NewVerifier(m, secret, sasl.IterationsMin)
			if err != nil {
				panic(err)
			}
			u.Verifiers[m] = v
		}
		users[name] = u
	}
	return users
})

// withUsers is a listener with every mechanism, and everybody.
func withUsers() options {
	return options{
		Options:  Options{Users: func(name string) (*cluster.User, bool) { u, ok := everybody()[name]; return u, ok }},
		listener: config.Listener{Protocol: "SASL_PLAINTEXT", Mechanisms: sasl.Mechanisms},
	}
}

// signIn signs alice in by PLAIN.
func (p *peer) signIn() {
	p.t.Helper()
	p.send(handshake(1, 1, "PLAIN"))
	p.answered(1)
	p.send(token(1, 2, "\x00alice\x00"+password))
	if b := p.answered(2); !bytes.HasPrefix(b, []byte{0, 0}) {
		p.t.Fatalf("alice is refused: %x", b)
	}
}

func handshake(version int16, correlation int32, mechanism string) []byte {
	req := kmsg.SASLHandshakeRequest{Version: version, Mechanism: mechanism}
	return request(17, version, correlation, req.AppendTo(nil))
}

func token(version int16, correlation int32, text string) []byte {
	req := kmsg.SASLAuthenticateRequest{Version: version, SASLAuthBytes: []byte(text)}
	return request(36, version, correlation, req.AppendTo(nil))
}

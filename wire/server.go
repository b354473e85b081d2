package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"milena/api"
	"milena/config"
	"milena/machine/cluster"
	"milena/wire/sasl"
)

// Options of a server.
type Options struct {
	API         api.Server
	Users       func(name string) (*cluster.User, bool)
	MadeUp      sasl.MadeUp      // what users who are not there look like
	FrameMax    int              // socket.request.max.bytes
	IdleMax     time.Duration    // connections.max.idle.ms
	Connections int              // max.connections
	PerIP       int              // max.connections.per.ip
	Now         func() time.Time // when a request came; what waits here waits in real time
	Log         *slog.Logger
}

// Limits that are no configuration of Kafka's.
const (
	loginFrameMax = 64 << 10
	loginTime     = 15 * time.Second
	frameTime     = 30 * time.Second // for readWindow bytes of a frame that has begun
	readWindow    = 256 << 10
	writeTime     = 30 * time.Second      // for sendWindow bytes of answers
	lingerTime    = time.Second           // for what was started before a client hung up
	closeTime     = time.Second           // for connections that were closed to be gone
	acceptPause   = 50 * time.Millisecond // after an error, such as no free descriptor
	queueMax      = 64                    // requests of a connection under way
)

// Listener is a bound listener.
type Listener struct {
	config.Listener
	Socket net.Listener
	TLS    *tls.Config // nil without
}

// Server serves listeners.
type Server struct {
	o           Options
	checker     *sasl.Checker
	pool        pool
	budget      *budget // of all frames under way
	loginBudget *budget // of frames before a login that are not small
	guess       throttle

	life   context.Context // ends when waiting must end
	end    context.CancelFunc
	closed chan struct{} // no new requests

	mu        sync.Mutex
	conns     map[*conn]struct{}
	ips       map[string]int
	open      []net.Listener
	listeners []*counters
	all       sync.WaitGroup

	panics   atomic.Uint64
	requests map[int16]*atomic.Uint64 // started, by key that is served
	versions map[int16]api.VersionRange

	failed, refused, panicked complaints
}

// counters of one listener.
type counters struct {
	name                                  string
	open                                  atomic.Int64
	accepted, turnedAway, failed, refused atomic.Uint64
	received, sent                        atomic.Uint64
	inClear                               sync.Once // the warning of a password in clear
}

// NewServer makes a server.
func NewServer(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		o: o, checker: sasl.NewChecker(o.Users, o.MadeUp), closed: make(chan struct{}),
		budget: newBudget(inFlightBytes, reserveBytes), loginBudget: newBudget(loginBytes, 0),
		conns: make(map[*conn]struct{}), ips: make(map[string]int),
		requests: make(map[int16]*atomic.Uint64), versions: make(map[int16]api.VersionRange),
		failed: complaints{log: o.Log, kind: "connections"}, refused: complaints{log: o.Log, kind: "refused sign-ins"}, panicked: complaints{log: o.Log, kind: "panics"},
	}
	for _, v := range o.API.Versions() {
		s.requests[v.Key], s.versions[v.Key] = new(atomic.Uint64), v
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func (s *Server) serves(key, version int16) bool {
	v, ok := s.versions[key]
	return ok && version >= v.Min && version <= v.Max
}

// Serve accepts on a listener, in the background.
func (s *Server) Serve(l Listener) {
	c := &counters{name: l.Name}
	s.mu.Lock()
	s.open = append(s.open, l.Socket)
	s.listeners = append(s.listeners, c)
	s.mu.Unlock()
	s.all.Go(func() { s.accept(l, c) })
}

func (s *Server) accept(l Listener, counters *counters) {
	for {
		c, err := l.Socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.failed.say(slog.LevelWarn, "no connection can be accepted; trying again", "listener", l.Name, "err", err)
			select {
			case <-time.After(acceptPause):
			case <-s.closed:
				return
			}
			continue
		}
		counters.accepted.Add(1)
		one := newConn(s, l, counters, c)
		if !s.admit(one) {
			c.Close()
			continue
		}
		s.all.Go(one.serve)
	}
}

// admit counts a connection in, if there is room for it.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	var full string
	var limit int
	switch {
	case s.isClosed():
		s.mu.Unlock()
		return false
	case s.o.Connections > 0 && len(s.conns) >= s.o.Connections:
		full, limit = "max.connections", s.o.Connections
	case s.o.PerIP > 0 && s.ips[c.host] >= s.o.PerIP && !loopback(c.host):
		full, limit = "max.connections.per.ip", s.o.PerIP
	default:
		s.conns[c] = struct{}{}
		s.ips[c.host]++
		c.counters.open.Add(1)
	}
	s.mu.Unlock()
	if full == "" {
		return true
	}
	c.counters.turnedAway.Add(1)
	s.failed.say(slog.LevelWarn, "connection turned away: too many are open", "listener", c.listener.Name, "from", c.host, full, limit)
	return false
}

// loopback says that an address is this machine's own: what runs here is not
// counted by address.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (s *Server) gone(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.counters.open.Add(-1)
	if s.ips[c.host]--; s.ips[c.host] <= 0 {
		delete(s.ips, c.host)
	}
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Shutdown stops accepting, lets what is under way finish until ctx ends, and
// closes what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.isClosed() {
		s.mu.Unlock()
		return nil
	}
	close(s.closed)
	var errs []error
	for _, l := range s.open {
		errs = append(errs, l.Close())
	}
	for c := range s.conns {
		c.stopReading()
	}
	s.mu.Unlock()
	s.end() // long polls answer with what there is
	done := make(chan struct{})
	go func() { s.all.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, s.cut(done))
	}
	s.failed.end()
	s.refused.end()
	s.panicked.end()
	return errors.Join(errs...)
}

// cut closes the connections that are left. One whose request waits for what
// never comes, such as a disk that hangs, is not waited for.
func (s *Server) cut(done <-chan struct{}) error {
	s.mu.Lock()
	for c := range s.conns {
		c.socket.Close()
	}
	s.mu.Unlock()
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("%d connections have requests that do not end", len(s.conns))
	}
}

// Stats of a server.
type Stats struct {
	Listeners []ListenerStats
	Panics    uint64
	Requests  map[int16]uint64 // started, by API key
}

// ListenerStats of one listener.
type ListenerStats struct {
	Name           string
	Connections    int64
	Accepted       uint64
	TurnedAway     uint64 // there were too many
	Failed         uint64 // closed for something that was wrong
	Refused        uint64 // sign-ins
	Received, Sent uint64 // bytes of requests and answers
}

// Stats tells of the server.
func (s *Server) Stats() Stats {
	stats := Stats{Panics: s.panics.Load(), Requests: make(map[int16]uint64)}
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, c := range listeners {
		stats.Listeners = append(stats.Listeners, ListenerStats{
			Name: c.name, Connections: c.open.Load(), Accepted: c.accepted.Load(), TurnedAway: c.turnedAway.Load(),
			Failed: c.failed.Load(), Refused: c.refused.Load(), Received: c.received.Load(), Sent: c.sent.Load(),
		})
	}
	for key, started := range s.requests {
		if count := started.Load(); count > 0 {
			stats.Requests[key] = count
		}
	}
	return stats
}

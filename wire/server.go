package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
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
	FrameMax    int           // socket.request.max.bytes
	IdleMax     time.Duration // connections.max.idle.ms
	Connections int           // max.connections
	PerIP       int           // max.connections.per.ip
	Log         *slog.Logger
}

// Limits that are no configuration of Kafka's.
const (
	loginFrameMax = 64 << 10
	loginTime     = 15 * time.Second
	frameTime     = 30 * time.Second // for a frame that has begun
	writeTime     = 30 * time.Second
	acceptPause   = 50 * time.Millisecond // after an error, such as no free descriptor
	refusalDelay  = 100 * time.Millisecond
	queueMax      = 64 // requests of a connection under way
)

// Listener is a bound listener.
type Listener struct {
	config.Listener
	Socket net.Listener
	TLS    *tls.Config // nil without
}

// Server serves listeners.
type Server struct {
	o       Options
	checker *sasl.Checker
	pool    pool
	budget  budget
	guess   throttle

	life   context.Context // ends when waiting must end
	end    context.CancelFunc
	closed chan struct{} // no new requests

	mu    sync.Mutex
	conns map[*conn]struct{}
	ips   map[string]int
	open  []net.Listener
	all   sync.WaitGroup

	total, refused, panics atomic.Uint64
	requests               [apisMax]atomic.Uint64 // by key
}

const apisMax = 128 // keys that are counted

// NewServer makes a server.
func NewServer(o Options) *Server {
	s := &Server{o: o, checker: sasl.NewChecker(o.Users), closed: make(chan struct{}), conns: make(map[*conn]struct{}), ips: make(map[string]int)}
	s.budget.left, s.budget.reserve = inFlightBytes, reserveBytes
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Serve accepts on a listener, in the background.
func (s *Server) Serve(l Listener) {
	s.mu.Lock()
	s.open = append(s.open, l.Socket)
	s.mu.Unlock()
	s.all.Go(func() { s.accept(l) })
}

func (s *Server) accept(l Listener) {
	for {
		c, err := l.Socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.o.Log.Warn("accept", "listener", l.Name, "err", err)
			select {
			case <-time.After(acceptPause):
			case <-s.closed:
				return
			}
			continue
		}
		s.total.Add(1)
		one := newConn(s, l, c)
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
	defer s.mu.Unlock()
	switch {
	case s.isClosed():
		return false
	case s.o.Connections > 0 && len(s.conns) >= s.o.Connections:
		s.o.Log.Warn("too many connections", "listener", c.listener.Name, "from", c.host, "max.connections", s.o.Connections)
		return false
	case s.o.PerIP > 0 && s.ips[c.host] >= s.o.PerIP:
		s.o.Log.Warn("too many connections from one address", "listener", c.listener.Name, "from", c.host, "max.connections.per.ip", s.o.PerIP)
		return false
	}
	s.conns[c] = struct{}{}
	s.ips[c.host]++
	return true
}

func (s *Server) gone(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
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

// Shutdown stops accepting, lets what is under way finish, and closes.
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
		s.mu.Lock()
		for c := range s.conns {
			c.net.Close()
		}
		s.mu.Unlock()
		<-done
	}
	return errors.Join(errs...)
}

// Stats of a server.
type Stats struct {
	Connections int
	Accepted    uint64
	Refused     uint64 // sign-ins
	Panics      uint64
	Requests    map[int16]uint64 // started, by API key
}

// Stats tells of the server.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	stats := Stats{Connections: n, Accepted: s.total.Load(), Refused: s.refused.Load(), Panics: s.panics.Load(), Requests: make(map[int16]uint64)}
	for key := range s.requests {
		if count := s.requests[key].Load(); count > 0 {
			stats.Requests[int16(key)] = count
		}
	}
	return stats
}

// throttle makes guessing passwords slow: after some failures within a minute
// each further one waits longer. It never locks anybody out.
type throttle struct {
	mu    sync.Mutex
	fails map[string]failures
}

type failures struct {
	count int
	since time.Time
}

const (
	guessFree  = 10 // failures within guessSpan that cost nothing
	guessSpan  = time.Minute
	guessDelay = 30 * time.Second
	guessKept  = 10_000
)

// failed notes a failure and tells how long its answer is held back.
func (t *throttle) failed(now time.Time, keys ...string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fails == nil || len(t.fails) > guessKept {
		t.fails = make(map[string]failures)
	}
	delay := refusalDelay
	for _, k := range keys {
		f := t.fails[k]
		if now.Sub(f.since) > guessSpan {
			f = failures{since: now}
		}
		f.count++
		t.fails[k] = f
		if over := f.count - guessFree; over > 0 {
			delay = max(delay, min(refusalDelay<<min(over, 16), guessDelay))
		}
	}
	return delay
}

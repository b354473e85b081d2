package wire

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milena/api"
)

func TestAnswersLeaveInTheOrderOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		var release [n]chan struct{}
		for i := range release {
			release[i] = make(chan struct{})
		}
		next := 0
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
			mine := release[next]
			next++
			return func(ctx context.Context) api.Answer {
				select {
				case <-mine:
				case <-ctx.Done():
				}
				return api.Answer{}
			}, nil
		}, options{})
		defer r.stop()
		p := r.dial()
		for i := range n {
			p.send(plain(int32(i), 0))
		}
		for i := n - 1; i > 0; i-- { // all but the first are ready before it, last first
			close(release[i])
		}
		p.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := p.Read(make([]byte, 1)); err == nil {
			t.Fatal("something leaves before the first request is done")
		}
		p.SetReadDeadline(time.Time{})
		close(release[0])
		for i := range n {
			p.answered(int32(i))
		}
	})
}

func TestWhatIsReadyLeavesBeforeSomethingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		first := true
		r := run(t, func(s *api.Session, q api.Request) (api.Finish, error) {
			if first {
				first = false
				return answering(nil), nil
			}
			return untilGone(ended)(s, q)
		}, options{})
		defer r.stop()
		p := r.dial()
		p.send(append(plain(1, 0), plain(2, 0)...))
		p.answered(1) // a poll that waits for ever stands behind it
	})
}

func TestALongPollEndsSoonAfterTheClientHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		r := run(t, untilGone(ended), options{})
		p := r.dial()
		p.send(plain(1, 0))
		time.Sleep(time.Minute)
		began := time.Now()
		p.Close()
		if after := (<-ended).Sub(began); after > lingerTime {
			t.Errorf("the poll went on for %v", after)
		}
		r.stop()
		r.noLines()
		r.given()
	})
}

func TestWhoOnlyStopsWritingIsStillAnswered(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
		return func(ctx context.Context) api.Answer {
			close(began)
			select {
			case <-release:
			case <-ctx.Done():
				return api.Answer{Close: errors.New("it was given up")}
			}
			return api.Answer{}
		}, nil
	}, options{tcp: true})
	defer r.stop()
	p := r.dial()
	defer p.Close()
	p.send(plain(7, 0))
	<-began
	p.Conn.(*net.TCPConn).CloseWrite()
	close(release)
	p.answered(7)
	p.closed()
	r.noLines()
}

func TestARequestBeforeGarbageIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(*api.Session, api.Request) (api.Finish, error) {
			return func(ctx context.Context) api.Answer {
				select {
				case <-time.After(lingerTime / 2):
					return api.Answer{}
				case <-ctx.Done():
					return api.Answer{Close: errors.New("it was given up")}
				}
			}, nil
		}
		r := run(t, slow, options{})
		defer r.stop()
		p := r.dial()
		p.send(append(plain(1, 0), 0xff, 0xff, 0xff, 0xff))
		p.answered(1)
		p.closed()
		synctest.Wait()
		r.oneLine("connection closed", "a request of -1 bytes")
	})
}

func TestNothingIsLeftOfAConnection(t *testing.T) {
	contexts := make(chan context.Context, 1)
	r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
		return func(ctx context.Context) api.Answer { contexts <- ctx; return api.Answer{} }, nil
	}, options{tcp: true})
	defer r.stop()
	before := runtime.NumGoroutine()
	for range 50 {
		p := r.dial()
		p.send(plain(1, 0))
		p.answered(1)
		p.Close()
		select {
		case <-(<-contexts).Done(): // else the server's life would remember it for ever
		case <-time.After(10 * time.Second):
			t.Fatal("a connection's context does not end with it")
		}
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	waitFor(t, "connections to be forgotten", func() bool { return r.Stats().Listeners[0].Connections == 0 })
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	for began := time.Now(); !met(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

func TestAResetEndsAConnectionAtOnce(t *testing.T) {
	ended := make(chan time.Time, 1)
	r := run(t, untilGone(ended), options{tcp: true})
	defer r.stop()
	p := r.dial()
	p.send(plain(1, 0))
	waitFor(t, "the request", func() bool { return r.Stats().Requests[3] == 1 })
	p.Conn.(*net.TCPConn).SetLinger(0)
	began := time.Now()
	p.Close()
	if after := (<-ended).Sub(began); after > lingerTime/2 {
		t.Errorf("the poll went on for %v", after)
	}
	r.noLines()
}

func TestAPanicCostsOneConnection(t *testing.T) {
	boom := func() { panic("boom") }
	var held atomic.Int32
	for name, serve := range map[string]fake{
		"when started": func(*api.Session, api.Request) (api.Finish, error) { boom(); return nil, nil },
		"when finished": func(*api.Session, api.Request) (api.Finish, error) {
			return func(context.Context) api.Answer { boom(); return api.Answer{} }, nil
		},
		"when let go of": func(*api.Session, api.Request) (api.Finish, error) {
			return func(ctx context.Context) api.Answer {
				switch held.Load() {
				case 0:
					time.Sleep(time.Second) // meanwhile the others queue
				case 3: // until then they gather
					ctx.Done()
				}
				held.Add(1)
				return api.Answer{Release: func() { held.Add(-1); boom() }}
			}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(s *api.Session, q api.Request) (api.Finish, error) {
					if q.Key == 3 {
						return serve(s, q)
					}
					return echo(s, q)
				}, options{})
				other, p := r.dial(), r.dial()
				var burst []byte
				for i := range 10 { // what is queued behind it is let go of, too
					burst = append(burst, plain(int32(i), 100<<10)...)
				}
				p.sendLater(burst)
				for { // an answer may have left before its bytes were let go of
					if _, err := p.frame(); err != nil {
						break
					}
				}
				other.send(request(18, 0, 5, nil))
				other.answered(5)
				synctest.Wait()
				r.oneLine("panicked", "api=Metadata", "boom", "conn_test.go")
				if n := r.Stats().Panics; n != 1 {
					t.Errorf("%d panics are counted, want 1", n)
				}
				other.Close()
				r.stop()
				r.given()
				if n := held.Load(); n != 0 {
					t.Errorf("%d answers are not let go of", n)
				}
			})
		})
	}
}

func TestAStopAnswersWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 3 * time.Second
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
			return func(context.Context) api.Answer { time.Sleep(takes); return api.Answer{} }, nil
		}, options{})
		p, idle := r.dial(), r.dial()
		p.send(plain(1, 0))
		synctest.Wait()
		began := time.Now()
		stopped := make(chan struct{})
		go func() { r.stop(); close(stopped) }()
		p.answered(1)
		<-stopped
		if took := time.Since(began); took != takes {
			t.Errorf("the stop took %v, want as long as the request: %v", took, takes)
		}
		p.closed()
		idle.closed()
		if _, err := r.open(); err == nil {
			t.Error("a connection is accepted after the stop")
		}
		r.noLines()
		r.given()
	})
}

func TestAStopEndsLongPollsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		r := run(t, untilGone(ended), options{})
		p := r.dial()
		p.send(plain(1, 0))
		synctest.Wait()
		began := time.Now()
		stopped := make(chan struct{})
		go func() { r.stop(); close(stopped) }()
		p.answered(1)
		<-stopped
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestAStopIsSeenByAReaderThatWasBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = time.Second
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
			time.Sleep(takes)
			return answering(nil), nil
		}, options{Options: Options{IdleMax: time.Hour}})
		p := r.dial()
		p.send(plain(1, 0))
		synctest.Wait()
		began := time.Now()
		stopped := make(chan struct{})
		go func() { r.stop(); close(stopped) }()
		p.answered(1)
		<-stopped
		if took := time.Since(began); took != takes {
			t.Errorf("the stop took %v, want %v", took, takes)
		}
	})
}

func TestAStopDoesNotWaitForARequestThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
			return func(context.Context) api.Answer { <-never; return api.Answer{} }, nil
		}, options{})
		p := r.dial()
		p.send(plain(1, 0))
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err == nil {
			t.Error("a stop that left a request behind says nothing")
		}
		if took := time.Since(began); took != 10*time.Second+closeTime {
			t.Errorf("the stop took %v", took)
		}
		close(never)
	})
}

func TestAStopDoesNotWaitForWhoSendsHalfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		p := r.dial()
		p.send(plain(1, 1<<20)[:1000])
		synctest.Wait()
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %v", took)
		}
		r.noLines()
		r.given()
	})
}

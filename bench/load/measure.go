package main

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"milena/bench/process"
	"milena/bench/result"
)

const slowest = 60_000_000 // microseconds; slower ones count as this

// window is when it is measured; all connections look at it.
type window struct {
	open atomic.Bool
	stop chan struct{}
	seen *checkpoints // nil: nobody looks
}

// tally is what one connection did within the window. One goroutine writes it.
type tally struct {
	*window
	requests, bytes, records int64
	between, during          *hdrhistogram.Histogram // microseconds
}

func (w *window) tally() *tally {
	t := &tally{window: w, between: hdrhistogram.New(1, slowest, 3)}
	if w.seen != nil {
		t.during = hdrhistogram.New(1, slowest, 3)
	}
	return t
}

// done notes a request that was due then and is answered now.
func (t *tally) done(due time.Time, bytes, records int) {
	if !t.open.Load() {
		return
	}
	t.requests++
	t.bytes += int64(bytes)
	t.records += int64(records)
	times := t.between
	if t.seen != nil && t.seen.since(due) {
		times = t.during
	}
	times.RecordValue(min(time.Since(due).Microseconds(), slowest)) //nolint:errcheck // it is within
}

// over says that the connection should end.
func (t *tally) over() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}

// measure runs the work on every connection for the warm-up and the measured
// time, and gives what was done and what the broker spent on it.
func (l *load) measure(work func(number int, t *tally) error) (*result.Result, error) {
	w := &window{stop: make(chan struct{})}
	var background sync.WaitGroup
	defer background.Wait()
	if l.metrics != "" {
		w.seen = &checkpoints{url: l.metrics}
		background.Go(func() { w.seen.watch(w.stop) })
	}
	stop := sync.OnceFunc(func() { close(w.stop) })
	defer stop()
	ended := make(chan error, l.conns)
	tallies := make([]*tally, l.conns)
	for i := range tallies {
		tallies[i] = w.tally()
		go func() { ended <- work(i, tallies[i]) }()
	}
	left := l.conns
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case err := <-ended:
			left--
			return err
		}
	}
	if err := wait(l.warm); err != nil {
		return nil, err
	}
	before, err := l.look()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	w.open.Store(true)
	err = wait(l.duration)
	w.open.Store(false)
	took := time.Since(began)
	if err != nil {
		return nil, err
	}
	after, err := l.look()
	stop()
	for range left {
		if workErr := <-ended; workErr != nil && err == nil {
			err = workErr
		}
	}
	background.Wait()
	if err == nil && w.seen != nil {
		err = w.seen.err
	}
	if err != nil {
		return nil, err
	}
	r := sum(tallies)
	r.Seconds = took.Seconds()
	r.CPU, r.ClientCPU = after.broker.CPU-before.broker.CPU, after.own.CPU-before.own.CPU
	r.WriteBytes, r.RSS = after.broker.WriteBytes-before.broker.WriteBytes, after.broker.RSS
	return r, nil
}

// both is what the broker and this process have spent.
type both struct{ broker, own process.Spent }

func (l *load) look() (b both, err error) {
	if b.broker, err = process.Look(l.pid); err == nil {
		b.own, err = process.Look(os.Getpid())
	}
	return b, err
}

// sum adds up what the connections did.
func sum(tallies []*tally) *result.Result {
	r := &result.Result{}
	all := hdrhistogram.New(1, slowest, 3)
	between, during := hdrhistogram.New(1, slowest, 3), hdrhistogram.New(1, slowest, 3)
	for _, t := range tallies {
		r.Requests += t.requests
		r.Bytes += t.bytes
		r.Records += t.records
		between.Merge(t.between)
		if t.during != nil {
			during.Merge(t.during)
		}
	}
	all.Merge(between)
	all.Merge(during)
	r.Times = times(all)
	if seen := tallies[0].seen; seen != nil {
		d, b := times(during), times(between)
		r.During, r.Between, r.Checkpoints = &d, &b, seen.count
	}
	return r
}

func times(h *hdrhistogram.Histogram) result.Times {
	return result.Times{Count: h.TotalCount(), P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max()}
}

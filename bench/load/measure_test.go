package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What the connections counted adds up, and only what fell into the window is
// counted.
func TestConnectionsAddUp(t *testing.T) {
	w := &window{stop: make(chan struct{}), seen: &checkpoints{}}
	a, b := w.tally(), w.tally()
	a.done(time.Now(), 1, 1)
	w.open.Store(true)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	w.seen.last.Store(ago(time.Minute).UnixNano())
	for range 99 {
		a.done(ago(time.Second), 10, 2)
	}
	b.done(ago(2*time.Minute), 10, 2) // a checkpoint was seen meanwhile; slower than all that fits
	r := sum([]*tally{a, b})
	if r.Requests != 100 || r.Bytes != 1000 || r.Records != 200 {
		t.Errorf("%d requests, %d bytes, %d records; want 100, 1000, 200", r.Requests, r.Bytes, r.Records)
	}
	within := func(got int64, want time.Duration) bool {
		return got >= want.Microseconds()*99/100 && got <= want.Microseconds()*101/100
	}
	if r.Times.Count != 100 || !within(r.Times.P50, time.Second) || !within(r.Times.Max, time.Minute) {
		t.Errorf("times %+v", r.Times)
	}
	if r.Between.Count != 99 || r.During.Count != 1 || !within(r.During.P99, time.Minute) || !within(r.Between.Max, time.Second) {
		t.Errorf("%+v saw a checkpoint, %+v did not", r.During, r.Between)
	}
}

func TestCheckpointsAreReadFromMetrics(t *testing.T) {
	text := "# HELP milena_checkpoints_total x\nmilena_checkpoints_total 12\nmilena_checkpoint_seconds_total 3\nmilena_checkpoint_running 1\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) })) //nolint:errcheck // the reader complains
	defer s.Close()
	c := &checkpoints{url: s.URL}
	if total, running, err := c.poll(); total != 12 || !running || err != nil {
		t.Errorf("%d checkpoints, running %v, %v; want 12, true", total, running, err)
	}
	text = "milena_checkpoints_total 12\n"
	if _, _, err := c.poll(); err == nil {
		t.Error("a broker without these metrics was believed")
	}
}

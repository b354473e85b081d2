package wire

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFloodOfFailuresIsNoFloodOfLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		const seconds, each = 12, 1000
		for range seconds {
			for range each {
				p := r.dial()
				p.send(length(-1))
				p.closed()
			}
			time.Sleep(time.Second)
		}
		time.Sleep(complaintsSpan)
		lines := r.log.lines()
		if most := (seconds/10 + 1) * (complaintsMax + 1); len(lines) > most {
			t.Errorf("%d lines of %d failures, want at most %d", len(lines), seconds*each, most)
		}
		told, left := 0, 0
		for _, line := range lines {
			if strings.Contains(line, "connection closed") {
				told++
				continue
			}
			var n int
			if _, err := fmt.Sscanf(line[strings.Index(line, "count="):], "count=%d", &n); err != nil || !strings.Contains(line, "about=connections") {
				t.Errorf("what is this line? %s", line)
			}
			left += n
		}
		if told+left != seconds*each {
			t.Errorf("%d are told and %d counted, want %d in all", told, left, seconds*each)
		}
		if failed := r.Stats().Listeners[0].Failed; failed != seconds*each {
			t.Errorf("the metric says %d, want %d", failed, seconds*each)
		}
		r.stop()
	})
}

func TestAStopTellsWhatWasLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(notes)
		k := complaints{log: slog.New(slog.NewTextHandler(n, nil)), kind: "tests"}
		for range complaintsMax + 7 {
			k.say(slog.LevelWarn, "no")
		}
		k.end()
		lines := n.lines()
		if len(lines) != complaintsMax+1 || !strings.Contains(lines[complaintsMax], "count=7") {
			t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
		}
		time.Sleep(2 * complaintsSpan)
		if again := n.lines(); len(again) != len(lines) {
			t.Errorf("it is told twice: %s", again[len(again)-1])
		}
	})
}

func TestConnectionsHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{Options: Options{Connections: 2}})
		first, second := r.dial(), r.dial()
		turnedAway := r.dial()
		turnedAway.closed()
		r.oneLine("too many", "max.connections=2", "from=192.0.2.1", "listener=PLAINTEXT")
		for _, p := range []*peer{first, second} {
			p.send(plain(1, 0))
			p.answered(1)
		}
		first.Close()
		synctest.Wait()
		third := r.dial()
		third.send(plain(1, 0))
		third.answered(1)
		if s := r.Stats().Listeners[0]; s.Accepted != 4 || s.TurnedAway != 1 || s.Connections != 2 || s.Name != "PLAINTEXT" || s.Received == 0 || s.Sent == 0 {
			t.Errorf("%+v", s)
		}
		second.Close()
		third.Close()
		r.stop()
	})
}

func TestConnectionsOfOneAddressHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{Options: Options{PerIP: 2}})
		m := r.Server.open[0].(*memory)
		r.dial()
		r.dial()
		r.dial().closed()
		r.oneLine("too many", "max.connections.per.ip=2", "from=192.0.2.1")
		m.from = net.ParseIP("2001:db8::1")
		other := r.dial()
		other.send(plain(1, 0))
		other.answered(1)
		for _, own := range []string{"127.0.0.1", "::1"} { // what runs on this machine is not counted
			m.from = net.ParseIP(own)
			for range 5 {
				p := r.dial()
				p.send(plain(1, 0))
				p.answered(1)
			}
		}
		r.stop()
	})
}

// A header with any key may come from anybody; only what is served is counted.
func TestOnlyServedRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		defer r.stop()
		for _, key := range []int16{-1, 19, 99, 100, 1000} {
			p := r.dial()
			p.send(request(key, 0, 1, nil))
			p.closed()
		}
		p := r.dial()
		p.send(plain(1, 0))
		p.answered(1)
		if counts := r.Stats().Requests; len(counts) != 1 || counts[3] != 1 {
			t.Errorf("counted: %v", counts)
		}
	})
}

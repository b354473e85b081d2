package wire

import (
	"net/netip"
	"sync"
	"time"
)

// throttle makes guessing passwords slow: after some failures within a minute
// each further one is answered later. Only refusals wait, so nobody locks
// anybody out: a right password is heard at once.
type throttle struct {
	mu    sync.Mutex
	hosts map[string]failures
	users map[string]failures
}

type failures struct {
	count int
	since time.Time
}

const (
	refusalDelay = 100 * time.Millisecond // of every refusal
	guessFree    = 10                     // failures within guessSpan that cost no more than that
	guessSpan    = time.Minute
	guessDelay   = 30 * time.Second // at most
	guessKept    = 10_000           // hosts, and users
	guessSample  = 8                // of which the least is forgotten
	guessName    = 64               // bytes of a user's name that are kept
	guessPrefix  = 64               // bits of an IPv6 address: what one household has
)

// failed notes a failure and tells how long its answer is held back.
func (t *throttle) failed(now time.Time, host, user string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hosts == nil {
		t.hosts, t.users = make(map[string]failures), make(map[string]failures)
	}
	over := max(count(t.hosts, source(host), now), count(t.users, user[:min(len(user), guessName)], now)) - guessFree
	if over <= 0 {
		return refusalDelay
	}
	return min(refusalDelay<<min(over, 16), guessDelay)
}

// count adds a failure and gives how many there are within guessSpan.
func count(kept map[string]failures, key string, now time.Time) int {
	f, known := kept[key]
	if !known && len(kept) >= guessKept {
		makeRoom(kept, now)
	}
	if now.Sub(f.since) > guessSpan {
		f = failures{since: now}
	}
	f.count++
	kept[key] = f
	return f.count
}

// makeRoom forgets, of some, the one with the fewest failures: a flood of names
// does not make a guesser forgotten.
func makeRoom(kept map[string]failures, now time.Time) {
	var least string
	fewest, seen := -1, 0
	for key, f := range kept {
		if now.Sub(f.since) > guessSpan {
			f.count = 0
		}
		if fewest < 0 || f.count < fewest {
			least, fewest = key, f.count
		}
		if seen++; seen == guessSample {
			break
		}
	}
	delete(kept, least)
}

// source is who an address belongs to.
func source(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return host
	}
	prefix, err := ip.WithZone("").Prefix(guessPrefix)
	if err != nil {
		return host
	}
	return prefix.String()
}

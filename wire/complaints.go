package wire

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A flood of bad connections must not become a flood of lines.
const (
	complaintsMax  = 20 // lines of a kind within complaintsSpan
	complaintsSpan = 10 * time.Second
)

// complaints writes the lines of one kind of failure. Above a rate it counts
// instead, and says at the end of the span how many lines it left out.
type complaints struct {
	log  *slog.Logger
	kind string // what the lines left out were about

	mu     sync.Mutex
	began  time.Time // of the span
	lines  int       // within it
	left   int       // out
	ending *time.Timer
}

func (k *complaints) say(level slog.Level, text string, args ...any) {
	if k.count(time.Now()) {
		k.log.Log(context.Background(), level, text, args...)
	}
}

// count says whether there is room for one more line.
func (k *complaints) count(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.began) >= complaintsSpan && k.ending == nil {
		k.began, k.lines = now, 0
	}
	if k.lines < complaintsMax {
		k.lines++
		return true
	}
	k.left++
	if k.ending == nil {
		k.ending = time.AfterFunc(complaintsSpan-now.Sub(k.began), k.end)
	}
	return false
}

// end closes a span in which lines were left out.
func (k *complaints) end() {
	k.mu.Lock()
	left := k.left
	k.left, k.began, k.lines = 0, time.Time{}, 0
	if k.ending != nil {
		k.ending.Stop()
		k.ending = nil
	}
	k.mu.Unlock()
	if left > 0 {
		k.log.Warn("lines were left out", "about", k.kind, "count", left, "within", complaintsSpan.String())
	}
}

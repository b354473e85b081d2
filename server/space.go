package server

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"milena/storage/disk"
)

// Room on the disk is looked at when somebody produces, at most this often:
// no ticker.
const spaceEvery = 200 * time.Millisecond

// reserveMax is the most that is kept free by default; on small disks it is a
// share of the file system.
const (
	reserveMax   = 1 << 30
	reserveShare = 20 // one part in so many: 5 %
)

// space says whether Produce must be refused because the disk is nearly full:
// what was acknowledged must always be able to settle.
type space struct {
	fs        disk.FS
	reserve   int64 // -1: by default
	unsettled func() int64
	log       *slog.Logger

	looked atomic.Int64 // monotonic nanoseconds since start
	full   atomic.Bool
	noRoom atomic.Bool // the journal could not make its next file
	start  time.Time
	mu     sync.Mutex // one look at a time
}

func newSpace(fs disk.FS, reserve int64, unsettled func() int64, log *slog.Logger) *space {
	return &space{fs: fs, reserve: reserve, unsettled: unsettled, log: log, start: time.Now()}
}

// Full is asked for every produced batch.
func (s *space) Full() bool {
	if now := int64(time.Since(s.start)); now-s.looked.Load() >= int64(spaceEvery) || s.looked.Load() == 0 {
		s.look(now)
	}
	return s.full.Load() || s.noRoom.Load()
}

func (s *space) look(now int64) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.looked.Store(max(now, 1))
	room, err := s.fs.Space()
	if err != nil {
		return // the journal will meet the same disk, and says so
	}
	needed := s.keep(room) + s.unsettled()
	full := int64(room.Free) < needed
	if full == s.full.Swap(full) {
		return
	}
	if full {
		s.log.Error("disk nearly full: produce is refused until there is room; everything else goes on", "free", room.Free, "needed", needed)
	} else {
		s.log.Info("there is room on the disk again: produce goes on", "free", room.Free)
	}
}

func (s *space) keep(room disk.Space) int64 {
	if s.reserve >= 0 {
		return s.reserve
	}
	return min(reserveMax, int64(room.Total/reserveShare))
}

// journalNoRoom is told by the journal.
func (s *space) journalNoRoom(none bool) {
	if s.noRoom.Swap(none) == none {
		return
	}
	if none {
		s.log.Error("no room for the next journal file: produce is refused until there is")
	} else {
		s.log.Info("the journal has room again")
	}
}

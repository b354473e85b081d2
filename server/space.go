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
	start     time.Time

	looked atomic.Int64 // monotonic nanoseconds since start
	full   atomic.Bool  // for any of the causes
	look   sync.Mutex   // one look at a time

	mu     sync.Mutex
	causes [causes]bool // guarded by mu
}

// cause is why there is no room.
type cause int

const (
	belowReserve cause = iota // less is free than must be
	noJournal                 // the journal could not make its next file
	noSettling                // what is in the journal could not be settled
	causes
)

var causeTexts = [causes]string{
	belowReserve: "less is free than what has to settle and disk.reserve.bytes",
	noJournal:    "no room for the next journal file",
	noSettling:   "no room to settle what is in the journal",
}

func newSpace(fs disk.FS, reserve int64, unsettled func() int64, log *slog.Logger) *space {
	return &space{fs: fs, reserve: reserve, unsettled: unsettled, log: log, start: time.Now()}
}

// Full is asked for every produced batch.
func (s *space) Full() bool {
	now := int64(time.Since(s.start))
	if last := s.looked.Load(); last == 0 || now-last >= int64(spaceEvery) {
		s.lookAt(now)
	}
	return s.full.Load()
}

func (s *space) lookAt(now int64) {
	if !s.look.TryLock() {
		return
	}
	defer s.look.Unlock()
	s.looked.Store(max(now, 1))
	room, err := s.fs.Space()
	if err != nil {
		return // the journal will meet the same disk, and says so
	}
	needed := s.keep(room) + s.unsettled()
	s.tell(belowReserve, int64(room.Free) < needed, "free", room.Free, "needed", needed)
}

// tell notes a cause that begins or ends. The first to begin and the last to
// end are told.
func (s *space) tell(c cause, on bool, details ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.causes != [causes]bool{}
	s.causes[c] = on
	full := s.causes != [causes]bool{}
	s.full.Store(full)
	switch {
	case full && !before:
		s.log.Error("disk nearly full: produce is refused until there is room; everything else goes on", append([]any{"why", causeTexts[c]}, details...)...)
	case before && !full:
		s.log.Info("there is room on the disk again: produce goes on", details...)
	}
}

func (s *space) keep(room disk.Space) int64 {
	if s.reserve >= 0 {
		return s.reserve
	}
	return min(reserveMax, int64(room.Total/reserveShare))
}

// journalNoRoom is told by the journal, settleNoRoom by who settles.
func (s *space) journalNoRoom(none bool) { s.tell(noJournal, none) }
func (s *space) settleNoRoom(none bool)  { s.tell(noSettling, none) }

package file

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
)

// Options of a journal. Zero values mean the defaults.
type Options struct {
	Logs         int   // how many logs there are
	FileBytes    int64 // of each file but the first
	FirstBytes   int64 // of the first, small so that a start is fast
	MaxLive      int64 // bytes of all files; then appends wait
	SaveBytes    int64 // written since the last Save; then Wants says so
	OSDurability bool  // acknowledge once the operating system has the bytes
	NoDirect     bool  // do not try O_DIRECT
	NoRoom       func(bool)
	Broken       func(error)
	Log          *slog.Logger

	buffer int64 // bytes of each of the two that gather writes; tests open many journals
}

// Defaults.
const (
	fileBytes  = 64 << 20
	firstBytes = 4 << 20
	maxLive    = 1 << 30
	saveBytes  = 256 << 20

	entryMax    = 256 << 20 // bytes of a body
	window      = 4096
	gatherBytes = 256 << 10 // that wait while the disk is busy: enough for a chunk
	smallest    = 64 << 10  // room in a file that is worth a chunk
	recentMax   = 32        // tokens remembered of each log, for repeats
	roomRetry   = 200 * time.Millisecond
)

func (o Options) filled() Options {
	set := func(v *int64, to int64) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.FileBytes, fileBytes)
	set(&o.FirstBytes, min(firstBytes, o.FileBytes))
	set(&o.MaxLive, maxLive)
	set(&o.SaveBytes, saveBytes)
	set(&o.buffer, chunkMax)
	if o.NoRoom == nil {
		o.NoRoom = func(bool) {}
	}
	if o.Broken == nil {
		o.Broken = func(error) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Journal is an open journal.
type Journal struct {
	fs     disk.FS
	dir    string
	o      Options
	direct bool

	mu       sync.Mutex
	work     sync.Cond  // the writer waits here
	ahead    sync.Cond  // the builder waits here
	idle     bool       // the writer does wait
	logs     []logEnd   // where each log's queue ends
	written  []position // where each log's chunks end
	queue    []item     // appended, not in a chunk; the first may be in part
	queued   int        // bytes of it
	taken    []piece    // reused by build
	lists    [][]item   // reused by buffers
	filling  *buffer
	spare    *buffer
	building bool   // somebody puts a chunk into filling, outside the lock
	writing  bool   // the writer is at the disk
	next     uint64 // chunk number
	durable  uint64 // chunk number
	synced   uint64 // chunk number that no power cut takes; less than durable with OSDurability only
	cur      *life  // the file that is written
	old      []*life
	free     []*slot
	made     int64  // bytes of all files
	slots    int    // names given to files so far
	files    uint64 // number of the newest life
	making   bool
	noRoom   bool
	asked    int // Saves that are still wanted because there was no room
	broken   error
	closed   bool
	since    int64 // bytes since the last Save
	stats    journal.Stats

	saving    sync.Mutex
	snapshots []savedFile // newest last, at most two; guarded by saving

	keep     []uint64           // per log: what the older snapshot no longer needs; guarded by mu
	loaded   []journal.Snapshot // as opened
	holes    []hole             // numbers that no chunk has, below the end
	headless []slot             // while it is opened: files whose head does not verify
	lostHead []lostFile         // files whose head is lost
	opened   []uint64           // place at which each log ended when it was opened
	judged   bool               // a Read of all logs has found out which ones damage stopped
	hurt     map[string]string  // files that it found damage in, and what
	aside    []*life            // files on their way to lost/

	wants   chan struct{}
	publish chan published
	done    sync.WaitGroup
	timer   *time.Timer // another try to make a file
}

// logEnd is where a log ends, and the tokens of its newest entries.
type logEnd struct {
	position
	recent  [recentMax]journal.Token // by place
	stopped bool                     // damage: nothing may be appended
	until   uint64                   // of a stopped log: its last good place
}

// slot is a file that can begin a life.
type slot struct {
	file disk.File
	name string
	size int64
}

// life is a file from its head to its recycling.
type life struct {
	slot
	head
	at    int64 // where the next chunk goes
	index []chunkAt
}

type chunkAt struct {
	at     int64
	number uint64
	length int
}

// item is one entry on its way.
type item struct {
	entry   journal.Entry
	size    int // of its body
	written int // bytes that are in chunks
	call    *call
	done    func([]journal.Outcome) // of an Append of one entry
	outcome journal.Outcome
}

// call is an Append of several entries.
type call struct {
	outcomes []journal.Outcome
	left     int
	done     func([]journal.Outcome)
}

// published is what the publisher tells.
type published struct {
	items  []item
	broken bool
}

// buffer is an aligned piece of memory that one write takes.
type buffer struct {
	bytes []byte // aligned, whole blocks
	used  int
	file  *life // where it goes
	at    int64
	last  uint64 // number of its last chunk
	items []item // whose last piece is in it
}

// Append queues the entries.
func (j *Journal) Append(entries []journal.Entry, done func([]journal.Outcome)) {
	var c *call
	if len(entries) != 1 {
		c = &call{outcomes: make([]journal.Outcome, 0, len(entries)), left: len(entries), done: done}
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		go j.refuse(len(entries), done)
		return
	}
	for i := range entries {
		it := item{entry: entries[i], call: c, done: done}
		for _, piece := range it.entry.Body {
			it.size += len(piece)
		}
		it.outcome = j.admit(&it)
		if it.outcome != journal.OK {
			it.entry.Body, it.size = nil, 0
		}
		j.queue = append(j.queue, it)
		j.queued += it.size + rowSize
	}
	if len(entries) == 0 {
		j.queue = append(j.queue, item{call: c, outcome: journal.Taken})
	}
	write, build := j.idle, j.writing && j.queued >= gatherBytes
	j.mu.Unlock()
	if write {
		j.work.Signal()
	}
	if build {
		j.ahead.Signal()
	}
}

// refuse answers what came after Close, behind all that came before.
func (j *Journal) refuse(n int, done func([]journal.Outcome)) {
	j.done.Wait()
	done(slices.Repeat([]journal.Outcome{journal.Broken}, n))
}

// admit says whether an entry continues its log, and if so moves the log's end.
func (j *Journal) admit(it *item) journal.Outcome {
	e := &it.entry
	if int(e.Log) >= len(j.logs) || j.broken != nil || it.size > entryMax {
		return journal.Broken
	}
	end := &j.logs[e.Log]
	switch {
	case end.stopped:
		return journal.Broken
	case e.Place <= end.place && e.Place+recentMax > end.place && e.Place > 0 && end.recent[e.Place%recentMax] == e.Token:
		it.entry.Body, it.size = nil, 0
		it.written = -1 // a repeat: nothing to write
		return journal.OK
	case e.Place != end.place+1 || e.Prev != end.token || e.Token == 0:
		return journal.Taken
	}
	end.place, end.token = e.Place, e.Token
	end.recent[e.Place%recentMax] = e.Token
	return journal.OK
}

// Wants is part of journal.Journal.
func (j *Journal) Wants() <-chan struct{} { return j.wants }

func (j *Journal) want() {
	select {
	case j.wants <- struct{}{}:
	default:
	}
}

// Limits is part of journal.Journal.
func (j *Journal) Limits() journal.Limits {
	return journal.Limits{Entry: entryMax, Window: window, Alone: true}
}

// Stats is part of journal.Journal.
func (j *Journal) Stats() journal.Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Queued = uint64(len(j.queue))
	for _, l := range j.old {
		s.LiveBytes += uint64(l.size)
	}
	if j.cur != nil {
		s.LiveBytes += uint64(j.cur.size)
	}
	return s
}

// Close waits for what is under way.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.work.Signal()
	j.ahead.Signal()
	j.done.Wait()

	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, l := range slices.Concat(j.old, j.aside, []*life{j.cur}) {
		if l != nil && l.file != nil {
			errs = append(errs, l.file.Close())
		}
	}
	for _, s := range j.free {
		errs = append(errs, s.file.Close())
	}
	j.old, j.aside, j.cur, j.free = nil, nil, nil, nil
	return errors.Join(errs...)
}

// breakDown ends the journal. Call it under the lock.
func (j *Journal) breakDown(err error) {
	if j.broken != nil {
		return
	}
	j.broken = fmt.Errorf("%w: %w", journal.ErrBroken, err)
	if !j.closed {
		go j.o.Broken(err)
	}
}

func newGeneration() uint64 { return rand.Uint64() | 1 }

func aligned(size int) []byte {
	raw := make([]byte, size+block)
	return raw[alignment(raw):][:size:size]
}

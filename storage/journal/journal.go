package journal

import (
	"context"
	"errors"
	"iter"
)

// Journal is the only sequencing authority: it appends an entry at exactly
// the place that its writer names, behind the entry that its writer names,
// durably, or says that the place is taken.
//
// Many goroutines may call it at once. Conformance tests for every engine
// stand in journal/journaltest.
type Journal interface {
	// Append queues the entries and never waits. done is called once, under no
	// lock, with one outcome an entry, after all that was appended to the same
	// logs before. Bodies must not change until then.
	//
	// Outcomes of a log come in order of place. After one that is not OK none
	// is, until its writer appends at that place again (Unknown), or behind what
	// is there (Taken).
	Append(entries []Entry, done func([]Outcome))

	// Read gives what is durable now, above each cursor, per log dense and in
	// order of place; logs may be mixed. A body is the reader's until the next
	// step of the loop only.
	Read(ctx context.Context, after []Cursor) iter.Seq2[Entry, error]

	// Save keeps the snapshots, all or none, durably. The newest two Saves are
	// kept; entries at or below the older Keep may go, but never a log's last.
	Save(ctx context.Context, snapshots []Snapshot) error

	// Load gives the newest snapshots that verify: none on a fresh journal.
	Load(ctx context.Context) ([]Snapshot, error)

	// Wants signals when a Save is due: much was written since the last, or
	// room runs out. A Save may have to be repeated before there is room again.
	Wants() <-chan struct{}

	Limits() Limits
	Stats() Stats

	// Close waits for what is under way. Later appends are Broken.
	Close() error
}

// Repairable is a journal whose stopped logs can be given up. It is asked right
// after it was opened and all logs were read, by who is alone with it, in this
// order: two Saves, so that what is stopped is known; Turn; a Save, which sets
// aside the rest of what damage hit; GiveUp; a Save.
type Repairable interface {
	Journal
	// Files tells what lies on the disk, and what is wrong with it.
	Files() []FileState
	// Turn begins a file behind all that was read, so that nothing that is needed
	// lies in one that damage hit.
	Turn(ctx context.Context) error
	// GiveUp takes entries again of every log that damage stopped. Of each it
	// gives the entry that stands for all that is lost: it has no body, it is
	// above every place that the log is known to have had, and it is durable with
	// the next Save.
	GiveUp() []Entry
}

// FileState is a file of a journal, as somebody wants to know who may lose what
// is in it.
type FileState struct {
	Name  string
	Bytes int64
	State string
	Aside bool // damage hit it, so it is to be set aside
}

// Token names an entry. Its writer draws it at random; zero stands for
// "no entry before".
type Token uint64

// Entry is one entry of one log. Places count from 1.
type Entry struct {
	Log   uint16
	Place uint64
	Prev  Token // the token of the entry at Place-1
	Token Token
	Body  [][]byte // concatenated; Read gives one piece
}

// Cursor names a place in a log.
type Cursor struct {
	Log   uint16
	Place uint64
}

// Outcome is what became of an entry.
type Outcome uint8

const (
	OK      Outcome = iota // durable, and in every later Read
	Taken                  // another entry is at this place, or Prev is not the one before it: read what is there
	Unknown                // send the same entry again and nothing else
	Broken                 // this journal takes nothing more
)

// Snapshot is what a log's entries up to and including Place add up to.
type Snapshot struct {
	Log   uint16
	Place uint64
	Token Token  // of the entry at Place
	Keep  uint64 // entries at or below it are no longer needed
	Body  []byte
}

// Limits of an engine.
type Limits struct {
	Entry  int  // bytes of a body
	Window int  // entries of one log under way at once
	Alone  bool // nobody else can write to these logs
}

// Stats of an engine since it was opened.
type Stats struct {
	Entries      uint64
	Bytes        uint64 // bodies
	WrittenBytes uint64 // what went to the disk, padding and heads included
	Writes       uint64
	WriteNanos   uint64 // spent in writes and syncs
	LiveBytes    uint64 // held in files that can't be recycled yet
	Queued       uint64 // entries that wait now
}

// Errors. They are wrapped, so ask with errors.Is.
var (
	ErrBroken = errors.New("journal: out of service")
	ErrFormat = errors.New("journal: written by a newer version")
	ErrDamage = errors.New("journal: damaged below its durable end")
	// ErrNoRoom: the disk has no room for the next file. Not Broken: appends
	// wait and go on when there is room, and a Save may be tried again.
	ErrNoRoom = errors.New("journal: no room for the next file")
)

// Damaged is told by an engine whose journal is damaged: these logs stop at
// their last good entry. It matches ErrDamage.
type Damaged struct {
	Logs   []Cursor // the last readable place of each
	Reason string
}

func (d *Damaged) Error() string        { return "journal: damaged: " + d.Reason }
func (d *Damaged) Is(target error) bool { return target == ErrDamage }

// String names an outcome for logs and tests.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Taken:
		return "taken"
	case Unknown:
		return "unknown"
	default:
		return "broken"
	}
}

package segment

import (
	"context"
	"errors"
)

// Store is where record bytes settle, per partition, as v2 batches in order
// of offset. What it holds above the settled point it may lose; the journal
// has it still. Conformance tests for every engine stand in
// segment/segmenttest.
//
// Calls for one partition come from one goroutine at a time, but Read, Find
// and Segments from any.
type Store interface {
	// Settle appends the batches at the partition's end; they are readable at once.
	Settle(ctx context.Context, p Partition, batches []Batch) error

	// Sync makes durable what was settled before the call, one file after the
	// other, and tells where each partition that it touched stands.
	Sync(ctx context.Context) ([]Settled, error)

	// Read gives whole batches from the one that holds offset `from` on, ending
	// below upTo, max bytes or a little less; one batch at least if there is
	// one. An empty span: nothing is settled at or above from.
	Read(ctx context.Context, p Partition, from, upTo int64, max int) (Span, error)

	// Restore forgets what lies above the settled point, and makes the
	// partition known. The zero Settled (but for its Partition): it has nothing.
	Restore(ctx context.Context, s Settled) error

	// Find gives the first settled batch at or above `from` whose largest
	// timestamp is at least the time (ms); false if there is none.
	Find(ctx context.Context, p Partition, from int64, time int64) (Found, bool, error)

	// Segments lists a partition's segments, oldest first; the last is active.
	Segments(p Partition) []Info

	// Seal ends the active segment: the next batch begins a new one. The caller
	// rolls by size and by age; the store never does.
	Seal(ctx context.Context, p Partition) error

	// Forget removes the segments that lie wholly below the offset. The last
	// reader out removes the files, and they shrink in steps.
	Forget(ctx context.Context, p Partition, below int64) error

	// Drop removes the partition and all of its files.
	Drop(ctx context.Context, p Partition) error

	Stats() Stats
	Close() error
}

// Partition names a partition. The topic's name is there for people who look
// into the directory; the id decides.
type Partition struct {
	Topic string
	ID    [16]byte
	Index int32
}

// Batch is one v2 batch as it is stored.
type Batch struct {
	Base         int64 // offset of its first record
	Next         int64 // offset behind its last record
	MaxTimestamp int64
	Bytes        []byte
}

// Settled says how far a partition is durable here.
type Settled struct {
	Partition
	Start   int64 // base offset of the oldest segment
	Next    int64 // offset behind the last durable batch
	Segment int64 // base offset of the segment it lies in
	Length  int64 // durable bytes of that segment
}

// Info is one segment.
type Info struct {
	Base, Next   int64
	Bytes        int64
	MaxTimestamp int64 // -1 if it holds nothing
	FirstWrite   int64 // wall clock, ms
	Sealed       bool
}

// Found is a batch that Find found.
type Found struct {
	Base, Next   int64
	MaxTimestamp int64
}

// Span is a run of whole batches, in pieces. Release it when it is sent.
type Span struct {
	Pieces  []Piece
	Bytes   int
	Next    int64  // offset behind the last batch in it
	Release func() // may be nil
}

// Piece is either bytes in memory or a range of an open file.
type Piece struct {
	Bytes  []byte
	File   File // nil for bytes
	At     int64
	Length int
}

// File can be read at an offset, and may have a descriptor for sendfile.
type File interface {
	ReadAt(p []byte, at int64) (int, error)
	Descriptor() (fd uintptr, ok bool)
}

// Stats of an engine since it was opened.
type Stats struct {
	SettledBytes uint64
	Segments     uint64 // now
	OpenFiles    uint64 // now
	Syncs        uint64
	SyncNanos    uint64
	StoredBytes  uint64 // now
}

// Errors. They are wrapped, so ask with errors.Is.
var (
	ErrCorrupt = errors.New("segment: a batch fails its checks")
	ErrUnknown = errors.New("segment: no such partition")
	// ErrNoRoom: the disk has no room for what is to settle. Nothing is broken:
	// the same batches may be settled again, now or when there is room.
	ErrNoRoom = errors.New("segment: no room to settle")
)

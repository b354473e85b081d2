package partition

import (
	"context"
	"time"

	"milena/machine/cluster"
	"milena/storage/segment"
)

// Log is one live partition as the API sees it.
type Log interface {
	// Append checks a batch, takes its place in the log and returns; done is
	// called once, under no lock, perhaps before Append returns, when the batch
	// and all that its answer rests on is durable. The bytes are changed in
	// place (offset, epoch); lease keeps them alive and may be nil.
	Append(batch []byte, lease Lease, how Append, done func(Appended))

	// Bounds tells what readers may see now.
	Bounds() Bounds

	// Read gives whole batches from `from` on, below the high watermark: max
	// bytes or less, but one batch at least if atLeastOne and there is one.
	// Out of bounds is kerr.OffsetOutOfRange.
	Read(ctx context.Context, from int64, max int, atLeastOne bool) (segment.Span, error)

	// OffsetAt gives the first record whose timestamp is at least the time (ms);
	// -1, -1 if there is none. Exact per record.
	OffsetAt(ctx context.Context, time int64) (offset, timestamp int64, err error)
	// MaxTimestamp gives the record with the largest timestamp; -1, -1 if there is none.
	MaxTimestamp(ctx context.Context) (offset, timestamp int64, err error)

	// Watch wakes the waiter whenever the bounds change, until Unwatch.
	Watch(w *Waiter)
	Unwatch(w *Waiter)

	// Size is the bytes that readers could read now.
	Size() int64
}

// Logs finds live partitions.
type Logs interface {
	// Log gives a partition of a topic, ready for use; false if the topic has no such.
	Log(topic *cluster.Topic, partition int32) (Log, bool)
}

// Append says how a batch came.
type Append struct {
	Now             time.Time
	Version         int16 // of Produce; -1 for the broker's own
	TransactionalID *string
}

// Appended is what became of a batch.
type Appended struct {
	Base       int64
	AppendTime int64 // ms; -1 unless the topic stamps LogAppendTime
	LogStart   int64
	Err        error  // a kerr value, wrapped
	Records    []Flaw // the records that an INVALID_RECORD is about
}

// Flaw is what is wrong with one record of a batch.
type Flaw struct {
	Index   int32
	Message string
}

// Bounds of a partition.
type Bounds struct {
	Start         int64
	HighWatermark int64
	LastStable    int64
	Epoch         int32
}

// Lease keeps the bytes of a frame alive: Retain before keeping a part of it
// past the call, Release when done.
type Lease interface {
	Retain()
	Release()
}

// Waiter waits for partitions to change. C has room for one signal; a waiter
// that is not listening misses nothing but repeats.
type Waiter struct {
	C chan struct{}
}

// NewWaiter makes a waiter.
func NewWaiter() *Waiter { return &Waiter{C: make(chan struct{}, 1)} }

// Wake signals and never waits.
func (w *Waiter) Wake() {
	select {
	case w.C <- struct{}{}:
	default:
	}
}

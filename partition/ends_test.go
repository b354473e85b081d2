package partition

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"milena/machine/cluster"
	"milena/shard"
	"milena/storage/journal"
	"milena/storage/journal/memory"
	segmentmemory "milena/storage/segment/memory"
)

// hurt is a journal whose entries damage took: it has its snapshots.
type hurt struct{ journal.Journal }

func (hurt) Read(_ context.Context, after []journal.Cursor) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		yield(journal.Entry{}, &journal.Damaged{Logs: after, Reason: "test"})
	}
}

// A snapshot knows of batches that came while it was made, and whose bytes damage
// took before they settled: a partition that is given up goes on where it can be
// read, and takes what was lost again from its producer.
func TestAPartitionGoesOnWhereItCanBeRead(t *testing.T) {
	j, store := memory.New(), segmentmemory.New()
	w := newWorld(t, j, store, nil)
	for i := range int32(3) {
		w.must(idempotent(7, 0, i, fmt.Sprint("v", i)))
	}
	err := w.set.Checkpoint(context.Background(), func(ctx context.Context) error {
		err := w.table.Settle(ctx)
		w.must(idempotent(7, 0, 3, "v3"))
		w.must(idempotent(8, 0, 0, "v4"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	again := newWorld(t, memory.New(), segmentmemory.New(), nil) // for its options
	o := again.table.o
	o.Store = store
	table := NewTable(o)
	set := shard.NewSet(hurt{j.Reopen()}, table.States())
	table.Attach([]*shard.Log{set.Log(0), set.Log(1)})
	var damaged *journal.Damaged
	if err := set.Recover(context.Background()); !errors.As(err, &damaged) {
		t.Fatalf("recovered: %v, want damage", err)
	}
	for s := range 2 {
		for _, end := range table.Ends(s, []*cluster.Topic{orders}) {
			want := int64(0)
			if end.Partition == 1 {
				want = 3
			}
			if end.Next != want {
				t.Errorf("partition %d can be read up to %d, want %d", end.Partition, end.Next, want)
			}
		}
		table.CutBack(s)
	}
	l, _ := table.Log(orders, 1)
	p := l.(*part)
	if p.next != 3 || len(p.producers) != 0 {
		t.Errorf("the next offset is %d, and %d producers are known; want 3, and none of those whose batches are gone", p.next, len(p.producers))
	}
	if found := table.Unknown(func([16]byte) bool { return false }); len(found) != 1 || found[0].Name != "orders" || found[0].ID != orders.ID || found[0].Partitions != 2 {
		t.Errorf("topics that nobody knows: %+v", found)
	}
	if found := table.Unknown(func([16]byte) bool { return true }); len(found) != 0 {
		t.Errorf("topics that nobody knows: %+v, though all are known", found)
	}
}

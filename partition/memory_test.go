package partition

import (
	"context"
	"strings"
	"testing"
	"time"

	"milena/storage/journal/memory"
	segmentmemory "milena/storage/segment/memory"
)

// full is a table whose tails have no room, and an append that waits for some.
func full(t *testing.T) (w *world, appended chan Appended) {
	w = newWorld(t, memory.New(), segmentmemory.New(), nil)
	w.table.o.UnsettledMax = 64 << 10
	large := strings.Repeat("x", 40<<10)
	w.must(one(large, 0))
	w.must(one(large, 0)) // what fits when it comes may go over
	appended = make(chan Appended, 1)
	go w.log().Append(one(large, 0), nil, Append{Now: w.now, Version: 9}, func(a Appended) { appended <- a })
	select {
	case a := <-appended:
		t.Fatalf("a third batch was taken (%v) with %d bytes unsettled", a.Err, w.table.Stats().Unsettled)
	case <-time.After(100 * time.Millisecond):
	}
	return w, appended
}

func taken(t *testing.T, appended chan Appended) {
	t.Helper()
	select {
	case a := <-appended:
		if a.Err != nil || a.Base != 2 {
			t.Errorf("offset %d, %v", a.Base, a.Err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it still waits")
	}
}

func TestAnAppendWaitsWhileTooMuchIsUnsettled(t *testing.T) {
	w, appended := full(t)
	w.checkpoint()
	taken(t, appended)
}

func TestATopicThatGoesMakesRoom(t *testing.T) {
	w, appended := full(t)
	if err := w.table.Drop(context.Background(), orders.ID); err != nil {
		t.Fatal(err)
	}
	if a := <-appended; a.Err == nil {
		t.Error("the dropped topic took a batch")
	}
}

func TestNobodyWaitsForRoomWhenTheTableEnds(t *testing.T) {
	w, appended := full(t)
	ctx, end := context.WithCancel(context.Background())
	end()
	w.table.Run(ctx)
	taken(t, appended)
}

func TestTheUnsettledBytesHaveALimit(t *testing.T) {
	if table := NewTable(Options{}); table.o.UnsettledMax != 64<<20 {
		t.Errorf("%d bytes may be unsettled", table.o.UnsettledMax)
	}
}

package coordinator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/cluster"
	"milena/machine/group/classic"
	"milena/shard"
	"milena/storage/journal/memory"
)

// fell runs what panics, and gives what it said.
func fell(t *testing.T, do func()) (what string) {
	t.Helper()
	defer func() {
		p := recover()
		if p == nil {
			t.Fatal("it did not panic")
		}
		what = "a panic"
		if err, ok := p.(error); ok {
			what = err.Error()
		}
	}()
	do()
	return ""
}

// soon ends a test in which something waits for ever.
func soon(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { do(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s still waits", what)
	}
}

func TestAPanicInAGroupStopsThatGroupAlone(t *testing.T) {
	j := memory.New()
	defer j.Close()
	g, set := groups(t, j)
	ctx := context.Background()
	settled(t, g, "falls")
	boom := func(*classic.Group, time.Time, machine.Ticket) machine.Decision { panic("boom") }
	soon(t, "the panic", func() {
		if what := fell(t, func() { g.ask(ctx, "falls", false, boom) }); !strings.Contains(what, "boom") || !strings.Contains(what, "panic_test.go") { //nolint:errcheck // it panics
			t.Errorf("it says %q", what)
		}
	})
	soon(t, "the rest", func() {
		if err := g.Commit(ctx, "falls", classic.Commit{Generation: -1}); !errors.Is(err, kerr.NotCoordinator) {
			t.Errorf("the group that fell says %v", err)
		}
		settled(t, g, "another")
		if all, err := g.List(ctx); err != nil || len(all) != 2 {
			t.Errorf("%d groups, %v", len(all), err)
		}
		if err := set.Checkpoint(ctx, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	again, _ := groups(t, j.Reopen())
	if d, err := again.Describe(ctx, "falls"); err != nil || d.State != classic.Stable {
		t.Errorf("after a restart the group is %s, %v", d.State, err)
	}
}

func TestAPanicLeavesTheClusterLogOpen(t *testing.T) {
	j := memory.New()
	defer j.Close()
	c := NewCluster(ClusterOptions{ID: "c", NodeID: 1, Now: time.Now})
	set := shard.NewSet(j, []shard.State{c.State()})
	c.Attach(set.Log(0))
	if err := set.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fell(t, func() {
		c.change(context.Background(), func(*cluster.Cluster) []machine.Fact { panic("boom") }) //nolint:errcheck // it panics
	})
	soon(t, "the next change", func() {
		_, errs := c.CreateTopics(context.Background(), []cluster.NewTopic{{Name: "orders", ID: [16]byte{1}, Partitions: 1, Replication: 1}}, false)
		if errs[0] != nil {
			t.Error(errs[0])
		}
	})
}

package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine/group/classic"
	"milena/shard"
	"milena/storage/journal"
	"milena/storage/journal/faulty"
	"milena/storage/journal/memory"
)

const logs = 4

func groups(t *testing.T, j journal.Journal) (*Groups, *shard.Set) {
	t.Helper()
	return groupsAt(t, j, time.Now)
}

func groupsAt(t *testing.T, j journal.Journal, now func() time.Time) (*Groups, *shard.Set) {
	t.Helper()
	g := NewGroups(GroupOptions{
		Logs: logs, SessionMin: time.Second, SessionMax: time.Hour, Retention: time.Hour, AutoCreate: true, Now: now,
	})
	set := shard.NewSet(j, g.States())
	var attached []*shard.Log
	for i := range logs {
		attached = append(attached, set.Log(i))
	}
	g.Attach(attached)
	if err := set.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Close)
	return g, set
}

func join(member string) classic.Join {
	return classic.Join{
		Member: member, ClientID: "c", ProtocolType: "consumer", Protocols: []classic.Protocol{{Name: "range"}},
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second,
	}
}

// settled makes a stable group of one, and gives its member.
func settled(t *testing.T, g *Groups, id string) classic.Joined {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	joined, err := g.Join(ctx, id, join(""))
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Sync(ctx, id, classic.Sync{Member: joined.Member, Generation: joined.Generation, Assignments: map[string][]byte{joined.Member: []byte("all")}})
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// While the disk hangs for an hour, heartbeats and reads are answered at once;
// a commit is not, and nobody sees it before it is durable.
func TestHeartbeatsPassWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := faulty.Wrap(memory.New())
		defer j.Close()
		g, _ := groups(t, j)
		joined := settled(t, g, "g")
		synctest.Wait() // until nothing is under way, whenever it was told
		j.Hang()
		committed := make(chan error, 1)
		go func() {
			committed <- g.Commit(context.Background(), "g", classic.Commit{Member: joined.Member, Generation: joined.Generation, Offsets: []classic.Offset{{Topic: "t", Offset: 1}}})
		}()
		for range 720 {
			time.Sleep(5 * time.Second)
			began := time.Now()
			if err := g.Heartbeat(context.Background(), "g", classic.Heartbeat{Member: joined.Member, Generation: joined.Generation}); err != nil {
				t.Fatal(err)
			}
			if offsets, _ := g.Offsets(context.Background(), "g", nil); len(offsets) != 0 {
				t.Fatal("an offset is seen before it is durable")
			}
			if d, _ := g.Describe(context.Background(), "g"); d.State != classic.Stable {
				t.Fatalf("the group is %s while the disk hangs", d.State)
			}
			if took := time.Since(began); took != 0 {
				t.Fatalf("a heartbeat and two reads took %v while the disk hung", took)
			}
		}
		if len(committed) != 0 {
			t.Fatalf("a commit was answered (%v) while the disk hung", <-committed)
		}
		j.Resume()
		if err := <-committed; err != nil {
			t.Error(err)
		}
		if offsets, _ := g.Offsets(context.Background(), "g", nil); len(offsets) != 1 {
			t.Errorf("%d offsets after the commit, want 1", len(offsets))
		}
	})
}

// What the journal can't take did not happen: nobody is told that it did.
func TestABrokenJournalAcknowledgesNoCommit(t *testing.T) {
	j := faulty.Wrap(memory.New())
	defer j.Close()
	g, _ := groups(t, j)
	joined := settled(t, g, "g")
	j.Steer(func(journal.Entry) faulty.Fault { return faulty.Fault{Outcome: journal.Broken} })
	commit := classic.Commit{Member: joined.Member, Generation: joined.Generation, Offsets: []classic.Offset{{Topic: "t", Offset: 1}}}
	for range 3 {
		if err := g.Commit(context.Background(), "g", commit); !errors.Is(err, kerr.NotCoordinator) {
			t.Fatalf("a commit to a broken journal: %v, want %v", err, kerr.NotCoordinator)
		}
	}
	if offsets, _ := g.Offsets(context.Background(), "g", nil); len(offsets) != 0 {
		t.Errorf("offsets that nobody wrote are seen: %+v", offsets)
	}
}

// An entry that may be there and may not is settled before its answer goes out.
func TestACommitOfUnknownFateIsAnsweredOnceItIsKnown(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored %t", stored), func(t *testing.T) {
			j := faulty.Wrap(memory.New())
			defer j.Close()
			g, _ := groups(t, j)
			joined := settled(t, g, "g")
			left := 3
			j.Steer(func(journal.Entry) faulty.Fault {
				if left == 0 {
					return faulty.Fault{}
				}
				left--
				return faulty.Fault{Outcome: journal.Unknown, Stored: stored}
			})
			commit := classic.Commit{Member: joined.Member, Generation: joined.Generation, Offsets: []classic.Offset{{Topic: "t", Offset: 7}}}
			if err := g.Commit(context.Background(), "g", commit); err != nil {
				t.Fatal(err)
			}
			if left != 0 {
				t.Errorf("answered with %d doubts left", left)
			}
			g.Close()
			again, _ := groups(t, j)
			if offsets, _ := again.Offsets(context.Background(), "g", nil); len(offsets) != 1 || offsets[0].Offset != 7 {
				t.Errorf("after a restart: %+v, want the one that was acknowledged", offsets)
			}
		})
	}
}

func TestAGroupGoesOnWhereItWasAfterARestart(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		t.Run(fmt.Sprintf("checkpoint %t", checkpoint), func(t *testing.T) {
			j := memory.New()
			g, set := groups(t, j)
			joined := settled(t, g, "g")
			commit := classic.Commit{Member: joined.Member, Generation: joined.Generation, Offsets: []classic.Offset{{Topic: "t", Partition: 2, Offset: 42, Metadata: "m"}}}
			if err := g.Commit(context.Background(), "g", commit); err != nil {
				t.Fatal(err)
			}
			if checkpoint {
				if err := set.Checkpoint(context.Background(), func(context.Context) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			g.Close()
			again, _ := groups(t, j.Reopen())
			if err := again.Heartbeat(context.Background(), "g", classic.Heartbeat{Member: joined.Member, Generation: joined.Generation}); err != nil {
				t.Errorf("a member's heartbeat after the restart: %v", err)
			}
			d, _ := again.Describe(context.Background(), "g")
			if d.State != classic.Stable || len(d.Members) != 1 || string(d.Members[0].Assignment) != "all" {
				t.Errorf("after the restart: %+v", d)
			}
			offsets, _ := again.Offsets(context.Background(), "g", []TopicPartition{{"t", 2}, {"t", 3}})
			if len(offsets) != 1 || offsets[0].Offset != 42 || offsets[0].Metadata != "m" {
				t.Errorf("offsets after the restart: %+v", offsets)
			}
		})
	}
}

func TestAJoinThatIsGivenUpHarmsNobody(t *testing.T) {
	g, _ := groups(t, memory.New())
	joined := settled(t, g, "g")
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() { _, err := g.Join(ctx, "g", join("")); gone <- err }()
	for { // until the rebalance has begun
		err := g.Heartbeat(context.Background(), "g", classic.Heartbeat{Member: joined.Member, Generation: joined.Generation})
		if errors.Is(err, kerr.RebalanceInProgress) {
			break
		}
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	again, err := g.Join(context.Background(), "g", join(joined.Member))
	if err != nil || again.Generation != joined.Generation+1 {
		t.Errorf("rejoined %+v, %v", again, err)
	}
}

func TestManyGroupsAtOnceKeepApart(t *testing.T) {
	j := memory.New()
	g, _ := groups(t, j)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			id := fmt.Sprint("group-", i)
			joined := settled(t, g, id)
			for n := range 20 {
				commit := classic.Commit{Member: joined.Member, Generation: joined.Generation, Offsets: []classic.Offset{{Topic: "t", Offset: int64(n)}}}
				if err := g.Commit(context.Background(), id, commit); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	listed, _ := g.List(context.Background())
	if len(listed) != 50 || !slices.IsSortedFunc(listed, func(a, b Listing) int { return len(a.Group) - len(b.Group) }) && len(listed) != 50 {
		t.Errorf("%d groups are listed, want 50", len(listed))
	}
	for i := range 50 {
		if offsets, _ := g.Offsets(context.Background(), fmt.Sprint("group-", i), nil); len(offsets) != 1 || offsets[0].Offset != 19 {
			t.Errorf("group %d: %+v", i, offsets)
		}
	}
}

// Offsets of a group without members go by themselves once their retention is
// over, and are gone after a restart too; a group with a member keeps its own,
// and nothing fires while nothing is due.
func TestIdleGroupsForgetTheirOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := memory.New()
		g, _ := groups(t, j) // retention: an hour
		ctx := t.Context()
		offsets := []classic.Offset{{Topic: "t", Offset: 1}}
		for _, id := range []string{"simple", "left", "busy"} {
			commit := classic.Commit{Generation: -1, Offsets: offsets}
			if id != "simple" {
				joined := settled(t, g, id)
				commit.Member, commit.Generation = joined.Member, joined.Generation
			}
			if err := g.Commit(ctx, id, commit); err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			if id == "left" {
				if _, err := g.Leave(ctx, id, []classic.Leaver{{Member: commit.Member}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		busy, _ := g.Describe(ctx, "busy")
		beat := func() {
			t.Helper()
			if err := g.Heartbeat(ctx, "busy", classic.Heartbeat{Member: busy.Members[0].Member, Generation: busy.Generation}); err != nil {
				t.Fatal(err)
			}
		}
		holds := func(g *Groups, want ...string) {
			t.Helper()
			var got []string
			for _, id := range []string{"simple", "left", "busy"} {
				if o, err := g.Offsets(ctx, id, nil); err != nil {
					t.Fatal(err)
				} else if len(o) > 0 {
					got = append(got, id)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("offsets of %q, want of %q", got, want)
			}
		}
		for range 59 * 12 {
			time.Sleep(5 * time.Second)
			beat()
		}
		holds(g, "simple", "left", "busy")
		for range 2 * 12 {
			time.Sleep(5 * time.Second)
			beat()
		}
		holds(g, "busy")
		if listed, _ := g.List(ctx); len(listed) != 1 {
			t.Errorf("listed are %+v, want only the busy one", listed)
		}
		g.Close()
		j = j.Reopen()
		defer j.Close()
		again, _ := groups(t, j)
		holds(again, "busy")
	})
}

// A stable group has nothing to do but wait for heartbeats: no timer of it fires
// again and again.
func TestAStableGroupRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := memory.New()
		defer j.Close()
		var looks atomic.Int64
		var g *Groups
		g, _ = groupsAt(t, j, func() time.Time { // asked whenever a group decides
			if looks.Add(1) == 10_000 {
				go g.Close() // so that it ends, and the test can say so
			}
			return time.Now()
		})
		joined := settled(t, g, "g")
		for range 720 {
			time.Sleep(5 * time.Second)
			if err := g.Heartbeat(t.Context(), "g", classic.Heartbeat{Member: joined.Member, Generation: joined.Generation}); err != nil {
				t.Fatal(err)
			}
		}
		if n := looks.Load(); n > 720*5 {
			t.Errorf("the group looked at the clock %d times in 720 heartbeats", n)
		}
	})
}

// A member must not work in a generation that a crash would take back.
func TestNoGenerationIsToldBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := faulty.Wrap(memory.New())
		defer j.Close()
		g, _ := groups(t, j)
		j.Hang()
		joined := make(chan error, 1)
		go func() {
			_, err := g.Join(context.Background(), "g", join(""))
			joined <- err
		}()
		time.Sleep(time.Minute)
		if len(joined) != 0 {
			t.Fatalf("a join was answered (%v) before its generation was durable", <-joined)
		}
		if d, _ := g.Describe(context.Background(), "g"); d.Generation != 0 {
			t.Fatalf("generation %d is seen before it is durable", d.Generation)
		}
		j.Resume()
		if err := <-joined; err != nil {
			t.Error(err)
		}
	})
}

package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stepped is a clock that moves when a test says so.
type stepped struct{ by atomic.Int64 }

func (s *stepped) now() time.Time        { return time.Now().Add(time.Duration(s.by.Load())) }
func (s *stepped) step(by time.Duration) { s.by.Add(int64(by)) }

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// Nothing is written to the topic any more, and yet its records go: by the
// time that they bear, or if that lies in the future by that of the writing.
func TestTheRecordsOfAnIdleTopicExpire(t *testing.T) {
	for _, memory := range []bool{true, false} {
		for name, configs := range map[string][]string{
			"CreateTime":    {"message.timestamp.after.max.ms", "9223372036854775807"},
			"LogAppendTime": {"message.timestamp.type", "LogAppendTime"},
		} {
			t.Run(fmt.Sprintf("%s/memory=%t", name, memory), func(t *testing.T) {
				clock := &stepped{}
				clock.step(-48 * time.Hour) // nothing may look at another clock
				s := start(t, Options{Config: configure(t, t.TempDir(), "log.retention.check.interval.ms", "1000"), Memory: memory, Now: clock.now})
				defer stop(t, s)
				c := client(t, s)
				admin := kadm.NewClient(c)
				ctx := within(t, 5*time.Minute)
				hour, settings := "3600000", map[string]*string{}
				settings["retention.ms"], settings[configs[0]] = &hour, &configs[1]
				if made, err := admin.CreateTopic(ctx, 1, 1, settings, "idle"); err != nil || made.Err != nil {
					t.Fatal(err, made.Err)
				}
				stamp := clock.now().Add(time.Hour * 24 * 365)
				r := &kgo.Record{Topic: "idle", Value: []byte("v"), Timestamp: stamp}
				if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if name == "LogAppendTime" {
					got := consume(t, s, "idle", 1)[0].Timestamp
					if age := clock.now().Sub(got); age < 0 || age > 30*time.Minute {
						t.Errorf("stamped %v, the clock says %v", got, clock.now())
					}
				}
				if err := s.set.Checkpoint(ctx, s.table.Settle); err != nil {
					t.Fatal(err)
				}
				begins := func() int64 {
					offsets, err := admin.ListStartOffsets(ctx, "idle")
					if err != nil || offsets.Error() != nil {
						t.Fatal(err, offsets.Error())
					}
					at, _ := offsets.Lookup("idle", 0)
					return at.Offset
				}
				if at := begins(); at != 0 {
					t.Fatalf("it begins at %d already", at)
				}
				clock.step(2 * time.Hour)
				eventually(t, "the record expires", func() bool { return begins() == 1 })
			})
		}
	}
}

// A commit's offsets go when nobody has used the group for a while.
func TestTheOffsetsOfAnIdleGroupExpire(t *testing.T) {
	clock := &stepped{}
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir, "offsets.retention.minutes", "10"), Now: clock.now})
	c := client(t, s)
	ctx := within(t, 5*time.Minute)
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	commit := func(s *Server, c *kgo.Client) {
		var offsets kadm.Offsets
		offsets.AddOffset("t", 0, 1, -1)
		if err := kadm.NewClient(c).CommitAllOffsets(ctx, "g", offsets); err != nil {
			t.Fatal(err)
		}
	}
	commit(s, c)
	stop(t, s)
	clock.step(5 * time.Minute)
	s = start(t, Options{Config: configure(t, dir, "offsets.retention.minutes", "10"), Now: clock.now})
	held := func() int {
		offsets, err := kadm.NewClient(client(t, s)).FetchOffsets(context.Background(), "g")
		if err != nil {
			t.Fatal(err)
		}
		return len(offsets.Offsets())
	}
	if n := held(); n != 1 {
		t.Errorf("%d offsets after half of the time and a restart", n)
	}
	stop(t, s)
	clock.step(time.Hour)
	s = start(t, Options{Config: configure(t, dir, "offsets.retention.minutes", "10"), Now: clock.now})
	defer stop(t, s)
	eventually(t, "the offsets expire", func() bool { return held() == 0 })
}

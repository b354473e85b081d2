package coordinator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"milena/machine/cluster"
	"milena/shard"
	"milena/storage/journal/faulty"
	"milena/storage/journal/memory"
)

// Whoever made a topic, by CreateTopics or by asking for it, is told when no
// crash can take it back, and nobody sees it before.
func TestNoTopicIsToldBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := faulty.Wrap(memory.New())
		defer j.Close()
		c := NewCluster(ClusterOptions{ID: "c", NodeID: 1, Now: time.Now})
		set := shard.NewSet(j, []shard.State{c.State()})
		c.Attach(set.Log(0))
		if err := set.Recover(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		j.Hang()
		made := make(chan error, 1)
		go func() {
			_, errs := c.CreateTopics(context.Background(), []cluster.NewTopic{{Name: "orders", ID: [16]byte{1}, Partitions: 1, Replication: 1}}, false)
			made <- errs[0]
		}()
		time.Sleep(time.Minute)
		if len(made) != 0 {
			t.Fatalf("a topic was told (%v) before it was durable", <-made)
		}
		if _, there := c.Topic("orders"); there {
			t.Fatal("a topic is seen before it is durable")
		}
		j.Resume()
		if err := <-made; err != nil {
			t.Fatal(err)
		}
		if _, there := c.Topic("orders"); !there {
			t.Error("the topic is not there once it is durable")
		}
	})
}

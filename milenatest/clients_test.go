package milenatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

const limit = 2 * time.Minute // of what takes a moment

func client(t *testing.T, address string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A client of each of Kafka's releases, by the versions that it may speak.
func TestAClientOfEveryReleaseIsServed(t *testing.T) {
	address := Start(t, "num.partitions=3")
	for _, release := range []struct {
		name     string
		versions *kversion.Versions
	}{
		{"0.11", kversion.V0_11_0()}, {"1.0", kversion.V1_0_0()}, {"1.1", kversion.V1_1_0()}, {"2.0", kversion.V2_0_0()}, {"2.1", kversion.V2_1_0()},
		{"2.2", kversion.V2_2_0()}, {"2.3", kversion.V2_3_0()}, {"2.4", kversion.V2_4_0()}, {"2.5", kversion.V2_5_0()}, {"2.6", kversion.V2_6_0()},
		{"2.7", kversion.V2_7_0()}, {"2.8", kversion.V2_8_0()}, {"3.0", kversion.V3_0_0()}, {"3.1", kversion.V3_1_0()}, {"3.2", kversion.V3_2_0()},
		{"3.3", kversion.V3_3_0()}, {"3.4", kversion.V3_4_0()}, {"3.5", kversion.V3_5_0()}, {"3.6", kversion.V3_6_0()}, {"3.7", kversion.V3_7_0()},
		{"3.8", kversion.V3_8_0()}, {"3.9", kversion.V3_9_0()}, {"4.0", kversion.V4_0_0()}, {"stable", kversion.Stable()},
	} {
		t.Run(release.name, func(t *testing.T) {
			t.Parallel()
			produceConsumeAdminister(t, address, "of-"+release.name, release.versions)
		})
	}
}

// produceConsumeAdminister walks through what a client does in its life.
func produceConsumeAdminister(t *testing.T, address, topic string, release *kversion.Versions) {
	versions := kgo.MaxVersions(release)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := client(t, address, versions, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	const records = 30
	for i := range records {
		r := &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}}
		c.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for read := 0; read < records; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", read, err)
		}
		read += fetches.NumRecords()
	}
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatalf("commit: %v", err)
	}
	admin := kadm.NewClient(c)
	if lag, err := admin.Lag(ctx, topic); err != nil || lag[topic].State != "Stable" || lag[topic].Lag.Total() != 0 {
		t.Errorf("lag %v, %v", lag[topic], err)
	}
	if made, err := admin.CreateTopic(ctx, 2, 1, nil, topic+"-made"); err != nil || made.Err != nil {
		t.Errorf("create: %v, %v", made.Err, err)
	}
	if configs, err := admin.DescribeTopicConfigs(ctx, topic); err != nil || len(configs) != 1 || len(configs[0].Configs) < 30 {
		t.Errorf("configs of %d topics, %v", len(configs), err)
	}
	if gone, err := admin.DeleteTopics(ctx, topic+"-made"); err != nil || gone[topic+"-made"].Err != nil {
		t.Errorf("delete: %v, %v", gone, err)
	}
	if offsets, err := admin.ListEndOffsets(ctx, topic); err != nil || offsets.Error() != nil {
		t.Errorf("end offsets: %v, %v", offsets.Error(), err)
	}
	c.Close()
	if !release.HasKey(int16(kmsg.DeleteGroups)) { // it came with 1.1
		return
	}
	if gone, err := kadm.NewClient(client(t, address, versions)).DeleteGroups(ctx, topic); err != nil || gone[topic].Err != nil {
		t.Errorf("delete the group: %v, %v", gone, err)
	}
}

func TestATransactionalProducerIsRefusedAtOnce(t *testing.T) {
	address := Start(t)
	c := client(t, address, kgo.TransactionalID("pays"))
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	err := c.BeginTransaction()
	if err == nil {
		err = c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr()
	}
	if !errors.Is(err, kerr.InvalidRequest) {
		t.Errorf("after %v: %v, want INVALID_REQUEST", time.Since(began), err)
	}
}

// shares is a group of members that read one topic until each record was read.
type shares struct {
	t       *testing.T
	address string
	topic   string
	seen    sync.Map // offsets by partition
	read    atomic.Int64
	again   atomic.Int64
	members sync.WaitGroup
}

func (s *shares) member(ctx context.Context, opts ...kgo.Opt) {
	c := client(s.t, s.address, append([]kgo.Opt{kgo.ConsumerGroup(s.topic), kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	s.members.Go(func() {
		defer c.Close()
		for {
			fetches := c.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			if err := fetches.Err(); err != nil {
				s.t.Errorf("a member reads: %v", err)
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if _, known := s.seen.LoadOrStore([2]int64{int64(r.Partition), r.Offset}, true); known {
					s.again.Add(1)
				} else {
					s.read.Add(1)
				}
			})
		}
	})
}

// all waits until so many records were read, and lets the members go.
func (s *shares) all(ctx context.Context, n int64) {
	s.t.Helper()
	for s.read.Load() < n && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if got := s.read.Load(); got != n {
		s.t.Errorf("%d of %d records were read", got, n)
	}
}

func produce(t *testing.T, ctx context.Context, address, topic string, partitions int32, n int) {
	t.Helper()
	c := client(t, address, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if _, err := kadm.NewClient(c).CreateTopic(ctx, partitions, 1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Fatal(err)
	}
	for i := range n {
		c.Produce(ctx, &kgo.Record{Topic: topic, Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// stable waits until a group has so many members, all with partitions.
func stable(t *testing.T, ctx context.Context, address, group string, members, partitions int) kadm.DescribedGroup {
	t.Helper()
	admin := kadm.NewClient(client(t, address))
	for {
		described, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			t.Fatalf("group %s is not stable with %d members: %v", group, members, err)
		}
		g := described[group]
		assigned := 0
		for _, m := range g.Members {
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, topic := range a.Topics {
					assigned += len(topic.Partitions)
				}
			}
		}
		if g.State == "Stable" && len(g.Members) == members && assigned == partitions {
			return g
		}
		select {
		case <-ctx.Done():
			t.Fatalf("group %s is %s with %d members that have %d partitions, want %d and %d", group, g.State, len(g.Members), assigned, members, partitions)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestTwentyMembersJoinAtOnceAndShareAll(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"eager": kgo.RangeBalancer(), "cooperative": kgo.CooperativeStickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			address := Start(t)
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			const partitions, records, members = 40, 2000, 20
			produce(t, ctx, address, name, partitions, records)
			s := &shares{t: t, address: address, topic: name}
			reading, leave := context.WithCancel(ctx)
			for range members {
				s.member(reading, kgo.Balancers(balancer))
			}
			s.all(ctx, records)
			stable(t, ctx, address, name, members, partitions)
			produce(t, ctx, address, name, partitions, records)
			s.all(ctx, 2*records)
			leave()
			s.members.Wait()
		})
	}
}

func TestAStaticMemberComesBackWithoutARebalance(t *testing.T) {
	address := Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	produce(t, ctx, address, "static", 4, 100)
	s := &shares{t: t, address: address, topic: "static"}
	reading, leave := context.WithCancel(ctx)
	first, stopFirst := context.WithCancel(ctx)
	var revoked atomic.Int64
	s.member(reading, kgo.InstanceID("a"), kgo.SessionTimeout(limit), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { revoked.Add(1) }))
	s.member(first, kgo.InstanceID("b"), kgo.SessionTimeout(limit), kgo.Balancers(kgo.RangeBalancer()))
	before := stable(t, ctx, address, "static", 2, 4)
	rebalances := revoked.Load()
	s.all(ctx, 100)
	stopFirst() // a static member says nothing when it goes
	s.member(reading, kgo.InstanceID("b"), kgo.SessionTimeout(limit), kgo.Balancers(kgo.RangeBalancer()))
	produce(t, ctx, address, "static", 4, 100)
	s.all(ctx, 200)
	after := stable(t, ctx, address, "static", 2, 4)
	moved := 0
	for _, m := range after.Members {
		for _, old := range before.Members {
			if *m.InstanceID == *old.InstanceID && m.MemberID != old.MemberID {
				moved++
			}
			a, _ := m.Assigned.AsConsumer()
			b, _ := old.Assigned.AsConsumer()
			if *m.InstanceID == *old.InstanceID && fmt.Sprint(a.Topics) != fmt.Sprint(b.Topics) {
				t.Errorf("%s had %v and has %v", *m.InstanceID, b.Topics, a.Topics)
			}
		}
	}
	if n := revoked.Load() - rebalances; n != 0 {
		t.Errorf("the other member lost its partitions %d times", n)
	}
	if moved != 1 {
		t.Errorf("%d members have a new id, want 1", moved)
	}
	leave()
	s.members.Wait()
}

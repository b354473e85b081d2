package server

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// fetchFrom is a Fetch of the topic's only partition.
func fetchFrom(topic string, offset int64, minBytes int32, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis = minBytes, 1<<20, int32(wait.Milliseconds())
	one, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = offset, 1<<20
	one.Topic, one.Partitions = topic, append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	return req
}

// A Fetch is answered when there are min_bytes, else when its time is over, with
// what there is.
func TestAFetchWaitsForMinBytesOrItsTime(t *testing.T) {
	s := start(t, Options{Config: configure(t, t.TempDir()), Memory: true})
	defer stop(t, s)
	names := kversion.Stable()
	names.SetMaxKeyVersion(int16(kmsg.Fetch), 12) // the last that names topics by their names
	c := client(t, s, kgo.MaxVersions(names), kgo.DefaultProduceTopic("orders"))
	put := func() {
		t.Helper()
		if err := c.ProduceSync(within(t, 60*time.Second), kgo.StringRecord("v")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put()

	const wait = time.Second
	began := time.Now()
	resp, err := fetchFrom("orders", 0, 1<<19, wait).RequestWith(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < wait {
		t.Errorf("answered after %v, though there was less than min_bytes", took)
	}
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Errorf("when its time was over it got error %d and %d bytes", p.ErrorCode, len(p.RecordBatches))
	}

	answered := make(chan int, 1)
	go func() {
		resp, err := fetchFrom("orders", 1, 1, 5*time.Minute).RequestWith(context.Background(), c)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answered <- len(resp.Topics[0].Partitions[0].RecordBatches)
	}()
	put()
	select {
	case n := <-answered:
		if n == 0 {
			t.Error("it was answered with nothing, though a record came")
		}
	case <-time.After(60 * time.Second):
		t.Error("not answered within a minute after a record came")
	}
}

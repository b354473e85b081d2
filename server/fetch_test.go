package server

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// polled asks for a topic's records, and gives how many bytes came, how long it
// took and what was wrong.
func (c *caller) polled(topic string, from int64, wait time.Duration, minBytes int32) (bytes int, took time.Duration, code int16) {
	c.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), minBytes, 1<<20
	if topic != "" {
		one := kmsg.NewFetchRequestTopicPartition()
		one.PartitionMaxBytes, one.FetchOffset, one.CurrentLeaderEpoch = 1<<20, from, -1
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.Partitions = topic, append(t.Partitions, one)
		req.Topics = append(req.Topics, t)
	}
	began := time.Now()
	resp := c.ask(req, 12).(*kmsg.FetchResponse)
	took = time.Since(began)
	for _, t := range resp.Topics {
		bytes += len(t.Partitions[0].RecordBatches)
		code = t.Partitions[0].ErrorCode
	}
	return bytes, took, code
}

// A long poll ends when there is enough, when its time is over, or at once where
// nothing is worth waiting for; never before.
func TestAFetchWaitsForMinBytesOrItsTime(t *testing.T) {
	s := start(t, Options{Memory: true, Config: configure(t, t.TempDir())})
	defer stop(t, s)
	c, producer := call(t, s, "PLAINTEXT"), call(t, s, "PLAINTEXT")
	made := c.createTopic("orders", 7).Topics[0]
	producer.topic.Topic, producer.topic.TopicID = &made.Topic, made.TopicID
	producer.produce(9)
	const (
		never = 10 * time.Minute // longer than this test may take
		short = 300 * time.Millisecond
	)
	one, _, _ := c.polled("orders", 0, never, 1) // what is there is given at once
	if one == 0 {
		t.Fatal("nothing was fetched")
	}
	for name, tt := range map[string]struct {
		topic    string
		from     int64
		minBytes int32
		code     int16
	}{
		"no partition":         {"", 0, 1, 0},
		"nothing is asked for": {"orders", 1, 0, 0},
		"no such topic":        {"nobody's", 0, 1, kerr.UnknownTopicOrPartition.Code},
		"beyond the end":       {"orders", 2, 1, kerr.OffsetOutOfRange.Code},
	} {
		if bytes, _, code := c.polled(tt.topic, tt.from, never, tt.minBytes); bytes != 0 || code != tt.code {
			t.Errorf("%s: %d bytes, %v", name, bytes, kerr.ErrorForCode(code))
		}
	}
	if bytes, took, code := c.polled("orders", 1, short, 1); bytes != 0 || took < short || code != 0 {
		t.Errorf("an empty poll of %v: %d bytes after %v, %v", short, bytes, took, kerr.ErrorForCode(code))
	}
	if bytes, took, _ := c.polled("orders", 0, short, int32(one)+1); bytes != one || took < short {
		t.Errorf("a poll for more than there is: %d bytes after %v", bytes, took)
	}

	enough := make(chan int)
	go func() {
		bytes, _, _ := c.polled("orders", 1, never, int32(2*one))
		enough <- bytes
	}()
	producer.produce(9)
	select {
	case bytes := <-enough:
		t.Fatalf("a poll for two batches ended with %d bytes", bytes)
	case <-time.After(short):
	}
	producer.produce(9)
	select {
	case bytes := <-enough:
		if bytes != 2*one {
			t.Errorf("a poll for two batches gave %d bytes, each has %d", bytes, one)
		}
	case <-time.After(callTime):
		t.Fatal("nobody woke it")
	}
}

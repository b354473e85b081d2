package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/bench/raw"
)

const kgoLinger = 5 * time.Millisecond

// kgoProducer is a real client that produces as fast as it is let: acks from
// all, idempotent where the broker is, its own batches.
func (l *load) kgoProducer(_ int, t *tally) error {
	opts := []kgo.Opt{kgo.SeedBrokers(l.address), kgo.DefaultProduceTopic(l.topic), kgo.ProducerLinger(kgoLinger),
		kgo.ProducerBatchCompression(kgo.NoCompression())}
	idempotent, err := l.serves(kmsg.InitProducerID)
	if err != nil {
		return err
	}
	if !idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	value := make([]byte, l.size)
	var mu sync.Mutex // promises come from one goroutine a broker; the tally has one owner
	var failed error
	for !t.over() {
		due := time.Now()
		client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			t.done(due, l.size, 1)
		})
	}
	err = client.Flush(context.Background())
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, failed)
}

// kgoConsumer is a real client that reads the topic over and over.
func (l *load) kgoConsumer(_ int, t *tally) error {
	for !t.over() {
		if err := l.consumeOnce(t); err != nil {
			return err
		}
	}
	return nil
}

// consumeOnce reads the topic to its end.
func (l *load) consumeOnce(t *tally) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(l.address), kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	left := int64(preloadBytes/len(raw.Batch(l.perBatch(), l.size))) * int64(l.perBatch())
	for left > 0 && !t.over() {
		due := time.Now()
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		n := fetches.NumRecords()
		left -= int64(n)
		t.done(due, n*l.size, n)
	}
	return nil
}

// serves says whether the broker has an API.
func (l *load) serves(key kmsg.Key) (bool, error) {
	conn, err := raw.Dial(l.address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	resp, err := conn.Ask(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		return false, err
	}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		if k.ApiKey == int16(key) {
			return true, nil
		}
	}
	return false, nil
}

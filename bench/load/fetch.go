package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const preload = 1_300_000_000 // bytes that are consumed over and over

// fetch fills a topic, then reads it over and over.
func (l *load) fetch(topic string) error {
	if err := l.fill(topic); err != nil {
		return err
	}
	return l.measure(func(stop <-chan struct{}, c *counted) error {
		ended := make(chan error, l.conns)
		for range l.conns {
			go func() { ended <- l.reader(topic, stop, c) }()
		}
		var first error
		for range l.conns {
			if err := <-ended; err != nil && first == nil {
				first = err
			}
		}
		return first
	})
}

func (l *load) fill(topic string) error {
	conn, err := dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	batch := makeBatch(max(1_000_000/l.size, 1), l.size)
	for i := range preload / len(batch) {
		if _, err := conn.Write(produceFrame(topic, []int32{int32(i % l.partitions)}, batch, -1)); err != nil {
			return err
		}
		body, err := conn.body(nil)
		if err != nil {
			return err
		}
		if failed, code := produceFailed(body); failed {
			return fmt.Errorf("produce was refused with error %d", code)
		}
	}
	return nil
}

// reader fetches each partition in turn, and begins again at its end.
func (l *load) reader(topic string, stop <-chan struct{}, c *counted) error {
	conn, err := dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	perBatch := int64(max(1_000_000/l.size, 1))
	offsets := make([]int64, l.partitions)
	var buf []byte
	for p := 0; ; p = (p + 1) % l.partitions {
		select {
		case <-stop:
			return nil
		default:
		}
		at := time.Now()
		if _, err := conn.Write(frame(fetchRequest(topic, int32(p), offsets[p], int32(l.maxBytes)), 1)); err != nil {
			return err
		}
		body, err := conn.body(buf)
		if err != nil {
			return err
		}
		buf = body[:0]
		if len(body) < l.size { // the end
			offsets[p] = 0
			continue
		}
		batches := int64(max(len(body)/(int(perBatch)*l.size), 1))
		offsets[p] += batches * perBatch
		c.done(time.Since(at), len(body), int(batches*perBatch))
	}
}

func fetchRequest(topic string, partition int32, from int64, max int32) kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 4, -1, 10, 1, 50<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, max
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// create times a topic of many partitions until all can be used.
func (l *load) create(topic string) error {
	began := time.Now()
	if err := makeTopic(l.address, topic, l.partitions, nil); err != nil {
		return err
	}
	took := time.Since(began)
	s, err := look(l.pid)
	fmt.Printf("create   %d partitions usable after %v, RSS %d MB\n", l.partitions, took.Round(time.Millisecond), s.RSS>>20)
	return err
}

// idle opens connections, has each ask for versions once, and looks at what
// they cost.
func (l *load) idle() error {
	before, err := look(l.pid)
	if err != nil {
		return err
	}
	began := time.Now()
	for range l.conns {
		c, err := dial(l.address)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.ask(kmsg.NewPtrApiVersionsRequest()); err != nil {
			return err
		}
	}
	took := time.Since(began)
	after, err := look(l.pid)
	fmt.Printf("idle     %d connections in %v, %.1f KB RSS and %.2f ms CPU each\n", l.conns, took.Round(time.Millisecond),
		float64(after.RSS-before.RSS)/float64(l.conns)/1e3, (after.CPU-before.CPU)*1000/float64(l.conns))
	return err
}

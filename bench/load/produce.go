package main

import (
	"fmt"
	"time"
)

// produce sends frames that were encoded beforehand: large ones, or one record
// each for rtt.
func (l *load) produce(topic string) error {
	return l.measure(func(stop <-chan struct{}, c *counted) error {
		ended := make(chan error, l.conns)
		for i := range l.conns {
			go func() { ended <- l.producer(topic, i, stop, c) }()
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

// frames makes what one connection sends, over and over.
func (l *load) frames(topic string, number int) (frames [][]byte, records int) {
	perBatch := max(l.frame/l.size, 1)
	if l.verb == "rtt" {
		perBatch = 1
	} else if l.batch > 0 {
		perBatch = l.batch
	}
	batch := makeBatch(perBatch, l.size)
	if l.batch > 0 && l.verb == "produce" {
		var partitions []int32
		for p := range min(l.partitions, max(l.frame/(l.batch*l.size), 1)) {
			partitions = append(partitions, int32(p))
		}
		return [][]byte{produceFrame(topic, partitions, batch, -1)}, perBatch * len(partitions)
	}
	for p := range min(l.partitions, 128) {
		frames = append(frames, produceFrame(topic, []int32{int32((p + number) % l.partitions)}, batch, -1))
	}
	return frames, perBatch
}

func (l *load) producer(topic string, number int, stop <-chan struct{}, c *counted) error {
	conn, err := dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	frames, records := l.frames(topic, number)
	due := make(chan time.Time, l.inflight)
	failed := make(chan error, 1)
	go func() { failed <- l.answers(conn, due, records, c) }()
	var every time.Duration
	if l.rate > 0 {
		every = time.Duration(float64(time.Second) * float64(l.conns) / float64(l.rate))
	}
	next := time.Now().Add(every * time.Duration(number) / time.Duration(max(l.conns, 1)))
	for i := 0; ; i++ {
		at := time.Now()
		if every > 0 {
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			}
			at, next = next, next.Add(every) // from when it was due, not from when it was sent
		}
		select {
		case <-stop:
			close(due)
			return <-failed
		case err := <-failed:
			return err
		case due <- at:
		}
		if _, err := conn.Write(frames[i%len(frames)]); err != nil {
			return err
		}
	}
}

// answers reads one answer for each request, and times it.
func (l *load) answers(conn *conn, due <-chan time.Time, records int, c *counted) error {
	var buf []byte
	first := true
	for at := range due {
		body, err := conn.body(buf)
		if err != nil {
			return err
		}
		if failed, code := produceFailed(body); first && failed {
			return fmt.Errorf("produce was refused with error %d", code)
		}
		first = false
		buf = body[:0]
		c.done(time.Since(at), records*l.size, records)
	}
	return nil
}

package main

import (
	"fmt"
	"time"

	"milena/bench/raw"
)

const preloadBytes = 1_300_000_000 // that are consumed over and over

// preload fills the topic, partition by partition in turn.
func (l *load) preload() error {
	conn, err := raw.Dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	batch := raw.Batch(l.perBatch(), l.size)
	var buf []byte
	for i := range preloadBytes / len(batch) {
		if _, err := conn.Write(raw.Produce(l.topic, []int32{int32(i % l.partitions)}, batch)); err != nil {
			return err
		}
		if buf, err = conn.Body(buf); err != nil {
			return err
		}
		if err := raw.Produced(buf); err != nil {
			return fmt.Errorf("produce was refused: %w", err)
		}
		buf = buf[:0]
	}
	return nil
}

// reader fetches each partition in turn, and begins again at its end. Whole
// batches count; what else is in an answer was sent for nothing.
func (l *load) reader(_ int, t *tally) error {
	conn, err := raw.Dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ends, err := conn.Ends(l.topic, l.partitions)
	if err != nil {
		return err
	}
	offsets := make([]int64, l.partitions)
	batchBytes := len(raw.Batch(l.perBatch(), l.size))
	var buf []byte
	for p := 0; !t.over(); p = (p + 1) % l.partitions {
		due := time.Now()
		if _, err := conn.Write(raw.Fetch(l.topic, int32(p), offsets[p], int32(l.maxBytes))); err != nil {
			return err
		}
		body, err := conn.Body(buf)
		if err != nil {
			return err
		}
		buf = body[:0]
		records := len(body) / batchBytes * l.perBatch()
		if records == 0 {
			return fmt.Errorf("nothing at offset %d of partition %d, which ends at %d", offsets[p], p, ends[p])
		}
		t.done(due, records*l.size, records)
		if offsets[p] += int64(records); offsets[p] >= ends[p] {
			offsets[p] = 0
		}
	}
	return nil
}

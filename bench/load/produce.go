package main

import (
	"fmt"
	"time"

	"milena/bench/raw"
)

// frames makes what one connection sends, over and over: large batches, or one
// record each for rtt.
func (l *load) frames(number int) (frames [][]byte, records int) {
	perBatch := l.perBatch()
	if l.verb == "rtt" {
		perBatch = 1
	} else if l.batch > 0 {
		perBatch = l.batch
	}
	batch := raw.Batch(perBatch, l.size)
	if l.batch > 0 && l.verb == "produce" {
		var partitions []int32
		for p := range min(l.partitions, max(l.frame/(l.batch*l.size), 1)) {
			partitions = append(partitions, int32(p))
		}
		return [][]byte{raw.Produce(l.topic, partitions, batch)}, perBatch * len(partitions)
	}
	for p := range min(l.partitions, 128) {
		frames = append(frames, raw.Produce(l.topic, []int32{int32((p + number) % l.partitions)}, batch))
	}
	return frames, perBatch
}

func (l *load) perBatch() int { return max(l.frame/l.size, 1) }

// pace says when a connection's requests are due.
type pace struct {
	every time.Duration // 0: at once
	next  time.Time
}

func (l *load) pace(number int) *pace {
	if l.rate == 0 {
		return &pace{}
	}
	every := time.Duration(float64(time.Second) * float64(l.conns) / float64(l.rate))
	return &pace{every: every, next: time.Now().Add(every * time.Duration(number) / time.Duration(l.conns))}
}

// wait waits until the next request is due. Its time counts from then, however
// late it is sent.
func (p *pace) wait() time.Time {
	if p.every == 0 {
		return time.Now()
	}
	time.Sleep(time.Until(p.next))
	due := p.next
	p.next = p.next.Add(p.every)
	return due
}

// producer sends frames that were encoded beforehand.
func (l *load) producer(number int, t *tally) error {
	conn, err := raw.Dial(l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	frames, records := l.frames(number)
	a := &answers{conn: conn, tally: t, bytes: records * l.size, records: records}
	pace := l.pace(number)
	if l.inflight > 1 {
		return l.pipeline(frames, pace, a)
	}
	for i := 0; !t.over(); i++ {
		due := pace.wait()
		if _, err := conn.Write(frames[i%len(frames)]); err != nil {
			return err
		}
		if err := a.read(due); err != nil {
			return err
		}
	}
	return nil
}

// pipeline keeps several requests under way.
func (l *load) pipeline(frames [][]byte, pace *pace, a *answers) error {
	slots := make(chan struct{}, l.inflight) // taken before a request is sent, free when it is answered
	sent := make(chan time.Time, l.inflight)
	read := make(chan error, 1)
	go func() {
		for due := range sent {
			if err := a.read(due); err != nil {
				read <- err
				return
			}
			<-slots
		}
		read <- nil
	}()
	for i := 0; ; i++ {
		select {
		case <-a.tally.stop:
			close(sent)
			return <-read
		case err := <-read:
			return err
		case slots <- struct{}{}:
		}
		sent <- pace.wait()
		if _, err := a.conn.Write(frames[i%len(frames)]); err != nil {
			return err
		}
	}
}

// answers reads one answer for each request.
type answers struct {
	conn           *raw.Conn
	tally          *tally
	bytes, records int // of a request
	buf            []byte
}

func (a *answers) read(due time.Time) error {
	body, err := a.conn.Body(a.buf)
	if err != nil {
		return err
	}
	a.buf = body[:0]
	if err := raw.Produced(body); err != nil {
		return fmt.Errorf("produce was refused: %w", err)
	}
	a.tally.done(due, a.bytes, a.records)
	return nil
}

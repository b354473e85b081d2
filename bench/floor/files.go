package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// indexEvery is how many bytes lie between two entries of a segment's index.
const indexEvery = 16 << 10

// partition is a row of segment files.
type partition struct {
	prefix       string // of its files' names
	number       int
	keep         int64 // bytes; negative: all
	segmentBytes int64

	mu       sync.Mutex
	next     int64 // offset
	size     int64
	segments []*segment
	gone     bool
}

// segment is one file of batches.
type segment struct {
	file  *os.File
	base  int64
	size  int64
	index []entry
}

type entry struct{ offset, at int64 }

// toFile appends a batch to a partition's file.
func (b *broker) toFile(p *partition, batch []byte, records int64, done func(int64, error)) {
	p.mu.Lock()
	base := p.next
	err := p.append(batch, records)
	p.mu.Unlock()
	done(base, err)
}

// append writes a batch with its offset. Call it under the lock.
func (p *partition) append(batch []byte, records int64) error {
	if p.gone {
		return fmt.Errorf("%s is deleted", p.prefix)
	}
	binary.BigEndian.PutUint64(batch, uint64(p.next))
	n := len(p.segments)
	if n == 0 || p.segments[n-1].size+int64(len(batch)) > p.segmentBytes {
		if err := p.roll(); err != nil {
			return err
		}
		n = len(p.segments)
	}
	s := p.segments[n-1]
	if _, err := s.file.WriteAt(batch, s.size); err != nil {
		return err
	}
	if k := len(s.index); k == 0 || s.size-s.index[k-1].at >= indexEvery {
		s.index = append(s.index, entry{p.next, s.size})
	}
	s.size += int64(len(batch))
	p.size += int64(len(batch))
	p.next += records
	return nil
}

// roll begins a segment, and removes old ones. Call it under the lock.
func (p *partition) roll() error {
	f, err := os.Create(fmt.Sprintf("%s-%020d.log", p.prefix, p.next))
	if err != nil {
		return err
	}
	p.segments = append(p.segments, &segment{file: f, base: p.next})
	for p.keep >= 0 && len(p.segments) > 1 && p.size-p.segments[0].size >= p.keep {
		p.size -= p.segments[0].size
		p.segments[0].remove()
		p.segments = p.segments[1:]
	}
	return nil
}

// remove removes a segment. Letting go of its blocks takes a while, and nobody
// waits for that.
func (s *segment) remove() {
	os.Remove(s.file.Name()) //nolint:errcheck // a floor that runs out of room says so when it writes
	go s.file.Close()        //nolint:errcheck // nothing is read of it any more
}

func (p *partition) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, s := range p.segments {
		s.remove()
	}
	p.segments = nil
}

func (p *partition) bounds() (start, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if start = p.next; len(p.segments) > 0 {
		start = p.segments[0].base
	}
	return start, p.next
}

// find gives the range of a file that begins with the batch of an offset, or a
// little before it: whole batches, one at least.
func (p *partition) find(offset int64, most int64) (a answer, start, next int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if start, next = p.next, p.next; len(p.segments) > 0 {
		start = p.segments[0].base
	}
	if offset < start || offset > next {
		return a, start, next, kerr.OffsetOutOfRange
	}
	if offset == next {
		return a, start, next, nil
	}
	s := p.segments[sort.Search(len(p.segments), func(i int) bool { return p.segments[i].base > offset })-1]
	first := sort.Search(len(s.index), func(i int) bool { return s.index[i].offset > offset }) - 1
	a.name, a.at = s.file.Name(), s.index[first].at
	behind := sort.Search(len(s.index), func(i int) bool { return s.index[i].at > a.at+most })
	end := s.size
	switch {
	case end-a.at <= most:
	case behind-1 > first:
		end = s.index[behind-1].at
	case first+1 < len(s.index):
		end = s.index[first+1].at
	}
	a.length = end - a.at
	return a, start, next, nil
}

// fetch answers with a range of the first partition that has something; one
// file stands behind an answer. The response is written by hand, so that the
// bytes stand at its end, or behind them the partitions that have nothing.
func (b *broker) fetch(r *request, req *kmsg.FetchRequest) error {
	if b.later {
		return fmt.Errorf("what is in the journal alone cannot be read")
	}
	if req.SessionEpoch > 0 {
		return fmt.Errorf("there are no fetch sessions")
	}
	if r.answer = b.look(req); r.answer.length == 0 {
		time.Sleep(time.Duration(req.MaxWaitMillis) * time.Millisecond)
		r.answer = b.look(req)
	}
	return nil
}

func (b *broker) look(req *kmsg.FetchRequest) (found answer) {
	head := binary.BigEndian.AppendUint32(nil, 0) // throttle
	if req.Version >= 7 {
		head = append(head, 0, 0, 0, 0, 0, 0) // error, session
	}
	var rows []byte
	var last []byte // of the partition that has something
	count := 0
	for _, t := range req.Topics {
		known := b.find(t.Topic)
		for _, p := range t.Partitions {
			row := binary.BigEndian.AppendUint16(nil, uint16(len(t.Topic)))
			row = append(row, t.Topic...)
			row = binary.BigEndian.AppendUint32(row, 1)
			row = binary.BigEndian.AppendUint32(row, uint32(p.Partition))
			var a answer
			var start, next int64
			err := error(kerr.UnknownTopicOrPartition)
			if known != nil && int(p.Partition) < len(known.partitions) {
				most := int64(min(p.PartitionMaxBytes, req.MaxBytes))
				a, start, next, err = known.partitions[p.Partition].find(p.FetchOffset, most)
			}
			if found.length > 0 {
				a.length = 0
			}
			row = binary.BigEndian.AppendUint16(row, uint16(code(err)))
			row = binary.BigEndian.AppendUint64(row, uint64(next)) // high watermark
			row = binary.BigEndian.AppendUint64(row, uint64(next)) // last stable offset
			if req.Version >= 5 {
				row = binary.BigEndian.AppendUint64(row, uint64(start))
			}
			row = append(row, 0xff, 0xff, 0xff, 0xff) // no aborted transactions
			if req.Version >= 11 {
				row = append(row, 0xff, 0xff, 0xff, 0xff) // no other replica
			}
			row = binary.BigEndian.AppendUint32(row, uint32(a.length))
			count++
			if a.length > 0 {
				found, last = a, row
				continue
			}
			rows = append(rows, row...)
		}
	}
	head = binary.BigEndian.AppendUint32(head, uint32(count))
	found.body = append(append(head, rows...), last...)
	return found
}

func code(err error) int16 {
	if known, ok := err.(*kerr.Error); ok {
		return known.Code
	}
	return 0
}

func split(address string) (string, int32) {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return host, int32(n)
}

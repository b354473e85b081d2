package batch

import (
	"fmt"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Record is one record of a batch. Its bytes belong to the batch.
type Record struct {
	Offset    int64
	Timestamp int64
	Key       []byte // nil: none
	Value     []byte // nil: none, a tombstone
	Headers   []RecordHeader
}

// RecordHeader is one header of a record.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Records decodes a batch, decompressing to max bytes at most.
func Records(b []byte, max int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h, err := Parse(b)
		if err == nil && h.Size() > len(b) {
			err = fmt.Errorf("%w: the batch is longer than what there is of it", kerr.CorruptMessage)
		}
		var records []byte
		if err == nil {
			records, err = open(b[:h.Size()], max)
		}
		for i := int32(0); err == nil && i < h.Count; i++ {
			var r Record
			if r, records, err = takeRecord(records, h); err == nil && !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

func takeRecord(b []byte, h Header) (r Record, rest []byte, err error) {
	length, n := varint(b, 0)
	if n < 0 || length < recordMin || length > int64(len(b)-n) {
		return r, nil, fmt.Errorf("%w: a record is longer than its batch", kerr.CorruptMessage)
	}
	f := fields{left: b[n+1 : n+int(length)]}
	r.Timestamp = h.BaseTimestamp + f.varint()
	if h.Attributes.LogAppendTime() {
		r.Timestamp = h.MaxTimestamp
	}
	r.Offset = h.BaseOffset + f.varint()
	r.Key, r.Value = f.bytes(), f.bytes()
	count := f.varint()
	if count < 0 || count > int64(len(f.left)) {
		f.bad = true
	}
	for ; count > 0 && !f.bad; count-- {
		r.Headers = append(r.Headers, RecordHeader{Key: string(f.bytes()), Value: f.bytes()})
	}
	if f.bad {
		return r, nil, fmt.Errorf("%w: a record's fields do not fit it", kerr.CorruptMessage)
	}
	return r, b[n+int(length):], nil
}

// fields reads one after the other; after the first that does not fit all is zero.
type fields struct {
	left []byte
	bad  bool
}

func (f *fields) varint() int64 {
	v, n := varint(f.left, 0)
	if n < 0 {
		f.bad, f.left = true, nil
		return 0
	}
	f.left = f.left[n:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.varint()
	if n < -1 || n > int64(len(f.left)) {
		f.bad, f.left = true, nil
	}
	if n < 0 || f.bad {
		return nil
	}
	b := f.left[:n:n]
	f.left = f.left[n:]
	return b
}

// Walk splits a run of whole batches.
func Walk(b []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(b) > 0 {
			h, err := Parse(b)
			if err == nil && h.Size() > len(b) {
				err = fmt.Errorf("%w: the last batch is cut off", kerr.CorruptMessage)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b[:h.Size():h.Size()], nil) {
				return
			}
			b = b[h.Size():]
		}
	}
}

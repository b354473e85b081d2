package batch

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Rules are what a topic and a request allow.
type Rules struct {
	Version       int16 // of Produce; -1 for the broker's own
	MaxBytes      int
	Now           int64 // ms
	BeforeMax     int64 // ms that a timestamp may lie before Now; negative: any
	AfterMax      int64 // … and after
	LogAppendTime bool
	Compact       bool   // every record needs a key
	Name          string // the partition's, for the texts; may be empty
}

// Flaw is what is wrong with one record.
type Flaw struct {
	Index   int32
	Message string
}

const (
	zstdVersion  = 7        // of Produce, the first that may carry zstd
	flawsMax     = 100      // told of one batch
	flawsShown   = 3        // in the error's text
	openMax      = 64 << 20 // bytes that a batch may decompress to, when it must
	openRatioMax = 100      // … and that many times its size
)

// Check looks at a produced batch without knowing its partition:
//
//	header   one batch, of this magic, with a good CRC and a count that fits
//	codec    known, and allowed for the version
//	records  lengths and deltas of uncompressed ones; keys and times where the
//	         topic asks for them
//
// What Kafka mends is mended in place. The error is a kerr value, wrapped.
func Check(b []byte, r Rules) (Header, []Flaw, error) {
	h, err := checkHeader(b, r)
	if err != nil {
		return h, nil, err
	}
	b = b[:h.Size()]
	if h.Attributes.Codec() != None {
		flaws, err := checkCompressed(b, &h, r)
		return h, flaws, err
	}
	truth, flaws, err := walk(b[HeaderSize:], h, r)
	if err != nil {
		return h, flaws, err
	}
	if !r.LogAppendTime {
		setTruth(b, &h, truth)
	}
	return h, nil, nil
}

func checkHeader(b []byte, r Rules) (Header, error) {
	if len(b) > 16 && b[16] != 2 {
		if b[16] > 2 {
			return Header{}, fmt.Errorf("%w: Invalid magic found in record: %d", kerr.CorruptMessage, int8(b[16]))
		}
		return Header{}, fmt.Errorf("%w: Produce requests with version %d are only allowed to contain record batches with magic version 2", kerr.InvalidRecord, r.Version)
	}
	h, err := Parse(b)
	if err != nil {
		return h, err
	}
	codec := h.Attributes.Codec()
	switch size := h.Size(); {
	case size > len(b):
		return h, fmt.Errorf("%w: the batch is longer than what came of it", kerr.InvalidRecord)
	case size > r.MaxBytes:
		return h, fmt.Errorf("%w: the batch has %d bytes, max.message.bytes is %d", kerr.MessageTooLarge, size, r.MaxBytes)
	case Sum(b[:size]) != h.CRC:
		return h, fmt.Errorf("%w: Record is corrupt (stored crc = %d, computed crc = %d)", kerr.CorruptMessage, h.CRC, Sum(b[:size]))
	case hasSecond(b[size:]):
		return h, fmt.Errorf("%w: Produce requests with version %d must contain exactly one record batch per partition", kerr.InvalidRecord, r.Version)
	case h.BaseOffset != 0:
		return h, fmt.Errorf("%w: The baseOffset of the record batch should be 0, but it is %d", kerr.InvalidRecord, h.BaseOffset)
	case h.Count <= 0 || h.LastOffsetDelta != h.Count-1:
		return h, fmt.Errorf("%w: the count of %d records does not fit their last offset delta %d", kerr.InvalidRecord, h.Count, h.LastOffsetDelta)
	case h.Attributes.Control():
		return h, fmt.Errorf("%w: clients are not allowed to write control records", kerr.InvalidRecord)
	case h.ProducerID >= 0 && h.BaseSequence < 0:
		return h, fmt.Errorf("%w: Invalid sequence number %d in record batch with producerId %d", kerr.InvalidRecord, h.BaseSequence, h.ProducerID)
	case codec > Zstd:
		return h, fmt.Errorf("%w: no codec has the number %d", kerr.UnsupportedCompressionType, codec)
	case codec == Zstd && r.Version >= 0 && r.Version < zstdVersion:
		return h, fmt.Errorf("%w: zstd needs Produce version %d", kerr.UnsupportedCompressionType, zstdVersion)
	}
	return h, nil
}

// hasSecond says that what stands behind a batch is another one. Kafka lets
// stray bytes pass that are too few to be one.
func hasSecond(rest []byte) bool {
	if len(rest) < 17 {
		return false
	}
	length := int32(binary.BigEndian.Uint32(rest[8:]))
	return length >= 0 && int(length)+lengthEnd <= len(rest)
}

// checkCompressed opens a batch only if the topic's rules ask for it; otherwise
// its header has said all that is needed.
func checkCompressed(b []byte, h *Header, r Rules) ([]Flaw, error) {
	if r.LogAppendTime && !r.Compact {
		return nil, nil
	}
	if !r.Compact {
		if found := lookAtTimes(*h, r); found.count > 0 {
			return found.flaws, found.err()
		}
		if h.Attributes.LogAppendTime() {
			setTruth(b, h, h.MaxTimestamp)
		}
		return nil, nil
	}
	records, err := open(b, openLimit(len(b)))
	if err != nil {
		return nil, err
	}
	truth, flaws, err := walk(records, *h, r)
	if err == nil && !r.LogAppendTime {
		setTruth(b, h, truth)
	}
	return flaws, err
}

// lookAtTimes judges a compressed batch by its header: by the time of its first
// record, and by the largest, for which the last record stands in.
func lookAtTimes(h Header, r Rules) (found rejected) {
	switch {
	case r.outOfTime(h.BaseTimestamp):
		found.note(r, 0, h.BaseTimestamp, false)
	case r.outOfTime(h.MaxTimestamp):
		found.note(r, h.LastOffsetDelta, h.MaxTimestamp, false)
	}
	return found
}

func openLimit(size int) int { return min(openMax, max(size*openRatioMax, 1<<20)) }

// outOfTime says that a timestamp lies too far from now; a negative one is none.
func (r *Rules) outOfTime(timestamp int64) bool {
	if timestamp < 0 {
		return false
	}
	return r.AfterMax >= 0 && timestamp-r.Now > r.AfterMax || r.BeforeMax >= 0 && r.Now-timestamp > r.BeforeMax
}

// rejected gathers what is wrong with single records, in Kafka's words.
type rejected struct {
	flaws []Flaw
	count int
	late  bool // one of them lies in the wrong time
}

func (x *rejected) note(r Rules, i int32, timestamp int64, keyless bool) {
	x.count++
	x.late = x.late || !keyless
	if len(x.flaws) >= flawsMax {
		return
	}
	message := "Compacted topic cannot accept message without key"
	switch {
	case !keyless:
		message = fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
			timestamp, i, r.Now-r.BeforeMax, r.Now+r.AfterMax)
	case r.Name != "":
		message += " in topic partition " + r.Name
	}
	x.flaws = append(x.flaws, Flaw{Index: i, Message: message})
}

func (x *rejected) err() error {
	if x.late {
		return fmt.Errorf("%w: One or more records have been rejected due to invalid timestamp", kerr.InvalidTimestamp)
	}
	var shown []string
	for _, f := range x.flaws[:min(len(x.flaws), flawsShown)] {
		shown = append(shown, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", f.Index, f.Message))
	}
	return fmt.Errorf("%w: One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
		kerr.InvalidRecord, x.count, strings.Join(shown, ", "))
}

// walk goes over records that are not compressed, and gives their largest
// timestamp. The first record that is not one ends it; what is wrong with
// single records is gathered.
func walk(records []byte, h Header, r Rules) (maxTimestamp int64, flaws []Flaw, err error) {
	maxTimestamp = -1
	var found rejected
	for i := range h.Count {
		length, from := varint(records, 0)
		if from < 0 || length < recordMin || length > int64(len(records)-from) {
			return 0, nil, fmt.Errorf("%w: record %d is longer than its batch, or shorter than a record", kerr.InvalidRecord, i)
		}
		l := look(records[from : from+int(length)])
		records = records[from+int(length):]
		switch {
		case !l.ok:
			return 0, nil, fmt.Errorf("%w: the fields of record %d do not fill it", kerr.InvalidRecord, i)
		case l.offset != int64(i):
			return 0, nil, fmt.Errorf("%w: record %d has the offset delta %d", kerr.InvalidRecord, i, l.offset)
		}
		timestamp := h.BaseTimestamp + l.timestamp
		maxTimestamp = max(maxTimestamp, timestamp)
		if r.Compact && l.keyless || !r.LogAppendTime && r.outOfTime(timestamp) {
			found.note(r, i, timestamp, r.Compact && l.keyless)
		}
	}
	if len(records) != 0 {
		return 0, nil, fmt.Errorf("%w: %d bytes behind the last of %d records", kerr.InvalidRecord, len(records), h.Count)
	}
	if found.count > 0 {
		return 0, found.flaws, found.err()
	}
	return maxTimestamp, nil, nil
}

// looked is what look saw.
type looked struct {
	timestamp int64 // delta
	offset    int64 // delta
	keyless   bool
	ok        bool
}

const recordMin = 6 // bytes: attributes, two deltas, key, value, headers

// look reads a record's fields without keeping them: attributes, timestamp
// delta, offset delta, key, value, headers. There are recordMin bytes.
func look(record []byte) (l looked) {
	var key int64
	at := 1
	if l.timestamp, at = varint(record, at); at < 0 {
		return l
	}
	if l.offset, at = varint(record, at); at < 0 {
		return l
	}
	if key, at = skip(record, at); at < 0 {
		return l
	}
	if _, at = skip(record, at); at < 0 {
		return l
	}
	l.keyless = key < 0
	l.ok = at == len(record)-1 && record[at] == 0 || skipHeaders(record, at)
	return l
}

// skipHeaders says whether headers fill the rest of a record.
func skipHeaders(record []byte, at int) bool {
	count, at := varint(record, at)
	if at < 0 || count < 0 || count > int64(len(record)-at) {
		return false
	}
	for ; count > 0; count-- {
		var key int64
		if key, at = skip(record, at); at < 0 || key < 0 {
			return false
		}
		if _, at = skip(record, at); at < 0 {
			return false
		}
	}
	return at == len(record)
}

// skip passes a field with its length in front; -1 is null. A negative
// position: it does not fit.
func skip(b []byte, at int) (length int64, next int) {
	if length, at = varint(b, at); at < 0 || length < 0 {
		if length != -1 {
			at = -1
		}
		return length, at
	}
	if length > int64(len(b)-at) {
		return length, -1
	}
	return length, at + int(length)
}

// varint reads a zigzag varint at a position, and gives the position behind it;
// a negative one: there is none. One byte is the usual case.
func varint(b []byte, at int) (int64, int) {
	if uint(at) < uint(len(b)) && b[at] < 0x80 {
		return int64(b[at]>>1) ^ -int64(b[at]&1), at + 1
	}
	return varintSlow(b, at)
}

func varintSlow(b []byte, at int) (int64, int) {
	if at+1 < len(b) && b[at+1] < 0x80 {
		v := uint64(b[at]&0x7f) | uint64(b[at+1])<<7
		return int64(v>>1) ^ -int64(v&1), at + 2
	}
	v, n := binary.Varint(b[min(at, len(b)):])
	if n <= 0 {
		return 0, -1
	}
	return v, at + n
}

package batch

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Rules are what a topic and a request allow.
type Rules struct {
	Version       int16 // of Produce; -1 for the broker's own
	MaxBytes      int
	Now           int64 // ms
	BeforeMax     int64 // ms that a timestamp may lie before Now
	AfterMax      int64 // … and after
	LogAppendTime bool
	Compact       bool // every record needs a key
}

// Flaw is what is wrong with one record.
type Flaw struct {
	Index   int32
	Message string
}

const (
	zstdVersion  = 7        // of Produce, the first that may carry zstd
	flawsMax     = 100      // told of one batch
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
	if flaw := timeFlaw(h.MaxTimestamp, r); !r.LogAppendTime && flaw != "" {
		return nil, fmt.Errorf("%w: %s", kerr.InvalidTimestamp, flaw)
	}
	if !r.Compact {
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

func openLimit(size int) int { return min(openMax, max(size*openRatioMax, 1<<20)) }

func timeFlaw(timestamp int64, r Rules) string {
	switch {
	case timestamp < 0: // none
	case r.AfterMax >= 0 && timestamp > r.Now && timestamp-r.Now > r.AfterMax:
		return fmt.Sprintf("Timestamp %d of message is out of range. The timestamp should be within %d milliseconds after now", timestamp, r.AfterMax)
	case r.BeforeMax >= 0 && timestamp < r.Now && r.Now-timestamp > r.BeforeMax:
		return fmt.Sprintf("Timestamp %d of message is out of range. The timestamp should be within %d milliseconds before now", timestamp, r.BeforeMax)
	}
	return ""
}

// walk goes over records that are not compressed, and gives their largest
// timestamp.
func walk(records []byte, h Header, r Rules) (maxTimestamp int64, flaws []Flaw, err error) {
	maxTimestamp = -1
	kind := kerr.InvalidRecord
	for i := range h.Count {
		length, n := varint(records)
		if n <= 0 || length < 0 || int64(len(records)-n) < length {
			return 0, nil, fmt.Errorf("%w: record %d is longer than its batch", kerr.InvalidRecord, i)
		}
		record := records[n : n+int(length)]
		records = records[n+int(length):]

		timestamp, keyless, ok := look(record, h.BaseTimestamp)
		if !ok {
			return 0, nil, fmt.Errorf("%w: the fields of record %d do not fill it", kerr.InvalidRecord, i)
		}
		maxTimestamp = max(maxTimestamp, timestamp)
		if r.Compact && keyless {
			flaws = appendFlaw(flaws, i, "Compacted topic cannot accept message without key")
		}
		if !r.LogAppendTime {
			if flaw := timeFlaw(timestamp, r); flaw != "" {
				flaws = appendFlaw(flaws, i, flaw)
				kind = kerr.InvalidTimestamp
			}
		}
	}
	if len(records) != 0 {
		return 0, nil, fmt.Errorf("%w: %d bytes behind the last of %d records", kerr.InvalidRecord, len(records), h.Count)
	}
	if len(flaws) > 0 {
		return 0, flaws, fmt.Errorf("%w: One or more records have been rejected", kind)
	}
	return maxTimestamp, nil, nil
}

func appendFlaw(flaws []Flaw, i int32, message string) []Flaw {
	if len(flaws) >= flawsMax {
		return flaws
	}
	return append(flaws, Flaw{Index: i, Message: message})
}

// look reads a record's fields without keeping them: attributes, timestamp
// delta, offset delta, key, value, headers.
func look(record []byte, base int64) (timestamp int64, keyless, ok bool) {
	if len(record) == 0 {
		return 0, false, false
	}
	rest := record[1:]
	delta, n := varint(rest)
	if n <= 0 {
		return 0, false, false
	}
	rest = rest[n:]
	if _, n = varint(rest); n <= 0 {
		return 0, false, false
	}
	rest = rest[n:]
	key, rest, ok := skipBytes(rest)
	if !ok {
		return 0, false, false
	}
	if _, rest, ok = skipBytes(rest); !ok {
		return 0, false, false
	}
	if ok = skipHeaders(rest); !ok {
		return 0, false, false
	}
	return base + delta, key < 0, true
}

func skipHeaders(rest []byte) bool {
	count, n := varint(rest)
	if n <= 0 || count < 0 || count > int64(len(rest)) {
		return false
	}
	rest = rest[n:]
	for ; count > 0; count-- {
		length, after, ok := skipBytes(rest)
		if !ok || length < 0 {
			return false
		}
		if _, after, ok = skipBytes(after); !ok {
			return false
		}
		rest = after
	}
	return len(rest) == 0
}

// skipBytes passes a field with a varint length in front; -1 is null.
func skipBytes(b []byte) (length int64, rest []byte, ok bool) {
	length, n := varint(b)
	if n <= 0 || length < -1 || length > int64(len(b)-n) {
		return 0, nil, false
	}
	return length, b[n+int(max(length, 0)):], true
}

// varint reads a zigzag varint, one byte being the usual case.
func varint(b []byte) (int64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), 1
	}
	return binary.Varint(b)
}

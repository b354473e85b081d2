package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Sizes of a batch.
const (
	HeaderSize = 61
	lengthEnd  = 12 // what the length field does not count
	crcStart   = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is what the first 61 bytes say.
type Header struct {
	BaseOffset      int64
	Length          int32
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// Attributes is a batch's bit field.
type Attributes int16

const (
	codecMask        = 0x07
	appendTimeBit    = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
)

// Codec compresses the records of a batch.
type Codec int8

const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Codec tells how the records are compressed; numbers above Zstd mean nothing.
func (a Attributes) Codec() Codec        { return Codec(a & codecMask) }
func (a Attributes) LogAppendTime() bool { return a&appendTimeBit != 0 }
func (a Attributes) Transactional() bool { return a&transactionalBit != 0 }
func (a Attributes) Control() bool       { return a&controlBit != 0 }

// Size is the bytes of the whole batch.
func (h Header) Size() int { return lengthEnd + int(h.Length) }

// Next is the offset behind its last record.
func (h Header) Next() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) + 1 }

// Parse reads a header. The batch may be longer than b; it is not checked.
func Parse(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes are no batch", kerr.InvalidRecord, len(b))
	}
	h := Header{
		BaseOffset:      int64(binary.BigEndian.Uint64(b)),
		Length:          int32(binary.BigEndian.Uint32(b[8:])),
		LeaderEpoch:     int32(binary.BigEndian.Uint32(b[12:])),
		Magic:           int8(b[16]),
		CRC:             binary.BigEndian.Uint32(b[17:]),
		Attributes:      Attributes(binary.BigEndian.Uint16(b[21:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[23:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(b[27:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(b[35:])),
		ProducerID:      int64(binary.BigEndian.Uint64(b[43:])),
		ProducerEpoch:   int16(binary.BigEndian.Uint16(b[51:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(b[53:])),
		Count:           int32(binary.BigEndian.Uint32(b[57:])),
	}
	if h.Length < HeaderSize-lengthEnd {
		return h, fmt.Errorf("%w: a batch of length %d", kerr.CorruptMessage, h.Length)
	}
	return h, nil
}

// Sum is the CRC that a batch should have.
func Sum(b []byte) uint32 { return crc32.Checksum(b[crcStart:], castagnoli) }

// Stamp gives a batch its place in the log. Both fields lie outside the CRC.
func Stamp(b []byte, base int64, epoch int32) {
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[12:], uint32(epoch))
}

// StampAppendTime makes the log's time the batch's time.
func StampAppendTime(b []byte, ms int64) {
	setAttributes(b, Attributes(binary.BigEndian.Uint16(b[21:]))|appendTimeBit)
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	binary.BigEndian.PutUint32(b[17:], Sum(b))
}

func setAttributes(b []byte, a Attributes) { binary.BigEndian.PutUint16(b[21:], uint16(a)) }

// setTruth mends what a client may get wrong and Kafka mends: the largest
// timestamp, and a bit that only the broker sets.
func setTruth(b []byte, h *Header, maxTimestamp int64) {
	if h.MaxTimestamp == maxTimestamp && !h.Attributes.LogAppendTime() {
		return
	}
	h.MaxTimestamp = maxTimestamp
	h.Attributes &^= appendTimeBit
	setAttributes(b, h.Attributes)
	binary.BigEndian.PutUint64(b[35:], uint64(maxTimestamp))
	h.CRC = Sum(b)
	binary.BigEndian.PutUint32(b[17:], h.CRC)
}

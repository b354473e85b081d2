package batch

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Builder makes a batch, for tests and tools. The zero Builder makes one
// without a producer; set what it should have, Add records, Build.
type Builder struct {
	Base          int64
	Codec         Codec
	Attributes    Attributes // besides the codec
	ProducerID    int64      // 0 with Epoch and Sequence 0: none
	ProducerEpoch int16
	Sequence      int32
	Producer      bool // the three fields above count

	records []byte
	count   int32
	first   int64
	latest  int64
}

// Add puts a record behind the others.
func (b *Builder) Add(timestamp int64, key, value []byte, headers ...RecordHeader) *Builder {
	if b.count == 0 {
		b.first, b.latest = timestamp, timestamp
	}
	b.latest = max(b.latest, timestamp)
	record := []byte{0}
	record = binary.AppendVarint(record, timestamp-b.first)
	record = binary.AppendVarint(record, int64(b.count))
	record = appendField(appendField(record, key), value)
	record = binary.AppendVarint(record, int64(len(headers)))
	for _, h := range headers {
		record = appendField(appendField(record, []byte(h.Key)), h.Value)
	}
	b.records = append(binary.AppendVarint(b.records, int64(len(record))), record...)
	b.count++
	return b
}

func appendField(dst, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(field))), field...)
}

// Build gives the batch.
func (b *Builder) Build() []byte {
	packed := compress(b.Codec, b.records)
	out := make([]byte, HeaderSize, HeaderSize+len(packed))
	out = append(out, packed...)
	id, epoch, sequence := int64(-1), int16(-1), int32(-1)
	if b.Producer {
		id, epoch, sequence = b.ProducerID, b.ProducerEpoch, b.Sequence
	}
	binary.BigEndian.PutUint64(out, uint64(b.Base))
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-lengthEnd))
	out[16] = 2
	setAttributes(out, b.Attributes&^codecMask|Attributes(b.Codec))
	binary.BigEndian.PutUint32(out[23:], uint32(b.count-1))
	binary.BigEndian.PutUint64(out[27:], uint64(b.first))
	binary.BigEndian.PutUint64(out[35:], uint64(b.latest))
	binary.BigEndian.PutUint64(out[43:], uint64(id))
	binary.BigEndian.PutUint16(out[51:], uint16(epoch))
	binary.BigEndian.PutUint32(out[53:], uint32(sequence))
	binary.BigEndian.PutUint32(out[57:], uint32(b.count))
	binary.BigEndian.PutUint32(out[17:], Sum(out))
	return out
}

func compress(codec Codec, records []byte) []byte {
	var out bytes.Buffer
	switch codec {
	case Gzip:
		w := gzip.NewWriter(&out)
		w.Write(records)
		w.Close()
	case Snappy:
		return s2.EncodeSnappy(nil, records)
	case LZ4:
		w := lz4.NewWriter(&out)
		w.Write(records)
		w.Close()
	case Zstd:
		w, err := zstd.NewWriter(&out)
		if err != nil {
			panic(err) // no option of ours can be wrong
		}
		w.Write(records)
		w.Close()
	default:
		return records
	}
	return out.Bytes()
}

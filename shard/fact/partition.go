package fact

import (
	"encoding/binary"
	"fmt"
)

// Kinds of the shard logs. An entry is one fact, without a length in front;
// integers are little-endian:
//
//	Data: kind u16, version u8, flags u8 (1: the name follows, 2: bytes follow),
//	      topic id 16, partition i32, base i64, next i64, max timestamp i64,
//	      transaction number u64 (0: none; another is refused until they are
//	      served), [length u16, topic's name], batch
//	LogStart: kind u16, version u8, flags u8, topic id 16, partition i32, start i64
//	Dropped: kind u16, version u8, flags u8, topic id 16
const (
	kindData     = 0x0201
	kindLogStart = 0x0202
	kindDropped  = 0x0203

	partitionHead = 4 + 16
	dataHead      = partitionHead + 4 + 4*8
	hasName       = 1
	hasBytes      = 2
)

// Data is a batch that got its place.
type Data struct {
	ID           [16]byte
	Partition    int32
	Base, Next   int64
	MaxTimestamp int64
	Topic        string // of a partition's first entry
	Batch        []byte
}

// LogStart says where a partition begins now.
type LogStart struct {
	ID        [16]byte
	Partition int32
	Start     int64
}

// Dropped says that a topic's partitions are gone from this shard.
type Dropped struct{ ID [16]byte }

func appendPartitionHead(dst []byte, kind uint16, flags byte, id [16]byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, kind)
	dst = append(dst, 1, flags)
	return append(dst, id[:]...)
}

// AppendData writes all of a Data but its batch, which is the entry's next piece.
func AppendData(dst []byte, d Data) []byte {
	flags := byte(hasBytes)
	if d.Topic != "" {
		flags |= hasName
	}
	dst = appendPartitionHead(dst, kindData, flags, d.ID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Partition))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Base))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Next))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.MaxTimestamp))
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	if d.Topic != "" {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(d.Topic)))
		dst = append(dst, d.Topic...)
	}
	return dst
}

// AppendLogStart writes a LogStart.
func AppendLogStart(dst []byte, f LogStart) []byte {
	dst = appendPartitionHead(dst, kindLogStart, 0, f.ID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.Partition))
	return binary.LittleEndian.AppendUint64(dst, uint64(f.Start))
}

// AppendDropped writes a Dropped.
func AppendDropped(dst []byte, f Dropped) []byte {
	return appendPartitionHead(dst, kindDropped, 0, f.ID)
}

// Partition reads an entry of a shard log: a Data, a LogStart or a Dropped.
func Partition(body []byte) (any, error) {
	if len(body) < partitionHead {
		return nil, ErrShort
	}
	kind, version, flags := binary.LittleEndian.Uint16(body), body[2], body[3]
	if version != 1 {
		return nil, fmt.Errorf("%w: kind %#04x version %d", ErrUnknown, kind, version)
	}
	id := [16]byte(body[4:partitionHead])
	rest := body[partitionHead:]
	switch {
	case kind == kindData:
		return readData(id, flags, rest)
	case kind == kindLogStart && flags == 0 && len(rest) <= 12:
		if len(rest) < 12 {
			return nil, ErrShort
		}
		return LogStart{ID: id, Partition: int32(binary.LittleEndian.Uint32(rest)), Start: int64(binary.LittleEndian.Uint64(rest[4:]))}, nil
	case kind == kindDropped && flags == 0 && len(rest) == 0:
		return Dropped{ID: id}, nil
	}
	return nil, fmt.Errorf("%w: kind %#04x with flags %#02x and %d bytes", ErrUnknown, kind, flags, len(rest))
}

func readData(id [16]byte, flags byte, rest []byte) (any, error) {
	if len(rest) < dataHead-partitionHead {
		return nil, ErrShort
	}
	if flags&^hasName != hasBytes {
		return nil, fmt.Errorf("%w: data with flags %#02x", ErrUnknown, flags)
	}
	if n := binary.LittleEndian.Uint64(rest[28:]); n != 0 {
		return nil, fmt.Errorf("%w: data of transaction %d", ErrUnknown, n)
	}
	d := Data{
		ID:           id,
		Partition:    int32(binary.LittleEndian.Uint32(rest)),
		Base:         int64(binary.LittleEndian.Uint64(rest[4:])),
		Next:         int64(binary.LittleEndian.Uint64(rest[12:])),
		MaxTimestamp: int64(binary.LittleEndian.Uint64(rest[20:])),
	}
	rest = rest[dataHead-partitionHead:]
	if flags&hasName != 0 {
		if len(rest) < 2 || len(rest) < 2+int(binary.LittleEndian.Uint16(rest)) {
			return nil, ErrShort
		}
		n := int(binary.LittleEndian.Uint16(rest))
		d.Topic, rest = string(rest[2:2+n]), rest[2+n:]
	}
	d.Batch = rest
	return d, nil
}

// PartitionState is a partition in a shard's snapshot.
type PartitionState struct {
	ID          [16]byte
	Index       int32
	Topic       string
	Start, Next int64
	// what is settled
	SettledStart, SettledNext, Segment, Length int64
	Producers                                  []ProducerState
}

// ProducerState is an idempotent producer in a snapshot.
type ProducerState struct {
	ID      int64
	Epoch   int16
	Time    int64
	Batches []ProducerBatch
}

// ProducerBatch is one of its last batches.
type ProducerBatch struct {
	First, Last int32
	Base        int64
}

const shardSnapshotVersion = 1

// SavePartitions writes a shard's snapshot.
func SavePartitions(parts []PartitionState) []byte {
	b := binary.AppendUvarint([]byte{shardSnapshotVersion}, uint64(len(parts)))
	for i := range parts {
		p := &parts[i]
		b = appendString(appendInt(append(b, p.ID[:]...), p.Index), p.Topic)
		for _, v := range []int64{p.Start, p.Next, p.SettledStart, p.SettledNext, p.Segment, p.Length} {
			b = appendInt(b, v)
		}
		b = binary.AppendUvarint(b, uint64(len(p.Producers)))
		for _, w := range p.Producers {
			b = appendInt(appendInt(appendInt(b, w.ID), w.Epoch), w.Time)
			b = binary.AppendUvarint(b, uint64(len(w.Batches)))
			for _, x := range w.Batches {
				b = appendInt(appendInt(appendInt(b, x.First), x.Last), x.Base)
			}
		}
	}
	return b
}

// LoadPartitions reads what SavePartitions wrote.
func LoadPartitions(body []byte) ([]PartitionState, error) {
	r := &reader{left: body}
	if v := r.byte(); r.err == nil && v != shardSnapshotVersion {
		return nil, fmt.Errorf("%w: shard snapshot version %d", ErrUnknown, v)
	}
	var parts []PartitionState
	for n := r.count(); n > 0 && r.err == nil; n-- {
		p := PartitionState{ID: r.id(), Index: int32(r.int()), Topic: r.string()}
		for _, v := range []*int64{&p.Start, &p.Next, &p.SettledStart, &p.SettledNext, &p.Segment, &p.Length} {
			*v = r.int()
		}
		for n := r.count(); n > 0 && r.err == nil; n-- {
			w := ProducerState{ID: r.int(), Epoch: int16(r.int()), Time: r.int()}
			for n := r.count(); n > 0 && r.err == nil; n-- {
				w.Batches = append(w.Batches, ProducerBatch{First: int32(r.int()), Last: int32(r.int()), Base: r.int()})
			}
			p.Producers = append(p.Producers, w)
		}
		parts = append(parts, p)
	}
	return parts, r.end()
}

package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// same are records of all kinds: null and empty fields, headers, times that go
// back.
func same() []Record {
	random := rand.New(rand.NewPCG(1, 2))
	long := make([]byte, 70_000)
	for i := range long {
		long[i] = byte(random.IntN(4))
	}
	return []Record{
		{Offset: 7, Timestamp: 1_700_000_000_000},
		{Offset: 8, Timestamp: 1_700_000_000_005, Key: []byte{}, Value: []byte{}},
		{Offset: 9, Timestamp: 1_700_000_000_003, Key: []byte("k"), Value: []byte("hello kafka!"),
			Headers: []RecordHeader{{"a", nil}, {"", []byte{}}, {"trace", []byte("17")}}},
		{Offset: 10, Timestamp: 1_699_999_999_000, Value: long},
	}
}

func sameRecord(a, b Record) bool {
	if a.Offset != b.Offset || a.Timestamp != b.Timestamp || !sameBytes(a.Key, b.Key) || !sameBytes(a.Value, b.Value) || len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if a.Headers[i].Key != b.Headers[i].Key || !sameBytes(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

// sameBytes tells null from empty, too.
func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func decode(t testing.TB, b []byte) (all []Record) {
	t.Helper()
	for r, err := range Records(b, 1<<20) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func compare(t *testing.T, got, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !sameRecord(got[i], want[i]) {
			t.Errorf("record %d: %.200v, want %.200v", i, got[i], want[i])
		}
	}
}

func TestAClientReadsWhatWeBuild(t *testing.T) {
	for _, codec := range codecs {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			b := &Builder{Base: 7, Codec: codec, Producer: true, ProducerID: 5, ProducerEpoch: 2, Sequence: 9}
			for _, r := range same() {
				b.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
			}
			fetched := &kmsg.FetchResponseTopicPartition{RecordBatches: b.Build()}
			part, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, fetched, kgo.DefaultDecompressor(), nil)
			if part.Err != nil {
				t.Fatal(part.Err)
			}
			var got []Record
			for _, r := range part.Records {
				one := Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					one.Headers = append(one.Headers, RecordHeader{h.Key, h.Value})
				}
				got = append(got, one)
				if r.ProducerID != 5 || r.ProducerEpoch != 2 {
					t.Errorf("producer %d epoch %d, want 5 and 2", r.ProducerID, r.ProducerEpoch)
				}
			}
			compare(t, got, same())
		})
	}
}

// clientBatch is how a client's library writes the same records.
func clientBatch(t testing.TB, codec Codec, records []Record) []byte {
	var raw []byte
	first, latest := records[0].Timestamp, records[0].Timestamp
	for i, r := range records {
		one := kmsg.Record{TimestampDelta64: r.Timestamp - first, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			one.Headers = append(one.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		latest = max(latest, r.Timestamp)
		one.Length = int32(len(one.AppendTo(nil)) - 1) // the length's own varint is one byte for 0
		raw = one.AppendTo(raw)
	}
	packed := raw
	if codec != None {
		options := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
		compressor, err := kgo.DefaultCompressor(options[codec])
		if err != nil {
			t.Fatal(err)
		}
		var used kgo.CompressionCodecType
		if packed, used = compressor.Compress(new(bytes.Buffer), raw); Codec(used) != codec {
			t.Fatalf("compressed with %d, want %d", used, codec)
		}
	}
	made := kmsg.RecordBatch{
		FirstOffset: records[0].Offset, Length: int32(HeaderSize - lengthEnd + len(packed)), PartitionLeaderEpoch: -1, Magic: 2,
		Attributes: int16(codec), LastOffsetDelta: int32(len(records) - 1), FirstTimestamp: first, MaxTimestamp: latest,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(records)), Records: packed,
	}
	b := made.AppendTo(nil)
	binary.BigEndian.PutUint32(b[17:], Sum(b))
	return b
}

func TestWeReadWhatAClientBuilds(t *testing.T) {
	for _, codec := range codecs {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			b := clientBatch(t, codec, same())
			h, err := Parse(b)
			if err != nil || h.Size() != len(b) || h.Attributes.Codec() != codec || h.Next() != 11 {
				t.Fatalf("header %+v, %v", h, err)
			}
			compare(t, decode(t, b), same())
		})
	}
}

// Java's clients frame snappy blocks of 32 KiB.
func TestJavaSnappyIsRead(t *testing.T) {
	b := &Builder{}
	for _, r := range same() {
		b.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	framed := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for raw := b.records; len(raw) > 0; {
		n := min(len(raw), 32<<10)
		block := s2.EncodeSnappy(nil, raw[:n])
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(block))), block...)
		raw = raw[n:]
	}
	got, err := openSnappy(framed, 1<<20)
	if err != nil || !bytes.Equal(got, b.records) {
		t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(b.records))
	}
	for cut := range len(framed) {
		if cut > 64 && cut%97 != 0 {
			continue
		}
		if got, err := openSnappy(framed[:cut], 1<<20); err == nil && len(got) >= len(b.records) {
			t.Errorf("cut at %d: read %d bytes of %d", cut, len(got), len(b.records))
		}
	}
}

// bomb is a batch of one record whose value is a lot of zeros.
func bomb(codec Codec, size int) []byte {
	b := &Builder{Codec: codec}
	return b.Add(1_700_000_000_000, []byte("k"), make([]byte, size)).Build()
}

func TestBombsStopAtTheBound(t *testing.T) {
	const size, bound = 16 << 20, 1 << 20
	for _, codec := range codecs[1:] {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			b := bomb(codec, size)
			var failed error
			took := allocated(func() {
				for _, err := range Records(b, bound) {
					failed = err
				}
			})
			if !errors.Is(failed, kerr.MessageTooLarge) {
				t.Errorf("error %v, want %v", failed, kerr.MessageTooLarge)
			}
			if limit := uint64(24 << 20); took > limit { // all of it, in room that doubles, is more
				t.Errorf("allocated %d bytes for a bound of %d", took, bound)
			}
		})
	}
}

// A stream may claim to hold what it does not.
func TestAClaimedSizeIsNotAllocated(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	frame := encoder.EncodeAll(make([]byte, 300), nil)
	frame[4] = frame[4]&^0xc0 | 0x80 // a size of four bytes …
	frame = append(append(frame[:5:5], 0, 0, 0, 3), frame[6+1:]...)
	snappy := binary.AppendUvarint(nil, 48<<20)
	for name, open := range map[string]func() error{
		"zstd":   func() error { _, err := openZstd(frame, 1<<20); return err },
		"snappy": func() error { _, err := openSnappy(snappy, 64<<20); return err },
	} {
		var err error
		if took := allocated(func() { err = open() }); took > 8<<20 {
			t.Errorf("%s: allocated %d bytes", name, took)
		}
		if err == nil {
			t.Errorf("%s: was believed", name)
		}
	}
}

// allocated tells how many bytes a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

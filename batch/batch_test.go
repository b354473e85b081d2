package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// anything goes with these rules.
var lenient = Rules{Version: 9, MaxBytes: 1 << 20, BeforeMax: -1, AfterMax: -1}

func three() *Builder {
	b := &Builder{}
	return b.Add(100, []byte("k"), []byte("a")).Add(105, []byte("k"), []byte("b")).Add(103, []byte("k"), nil)
}

func TestHeaderIsReadWhereItLies(t *testing.T) {
	b := &Builder{Base: 1 << 40, Codec: Zstd, Attributes: transactionalBit, Producer: true, ProducerID: 1 << 41, ProducerEpoch: 7, Sequence: 1 << 30}
	made := b.Add(1000, nil, []byte("x")).Add(1002, nil, nil).Build()
	Stamp(made, 1<<42, 12)
	got, err := Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		BaseOffset: 1 << 42, Length: int32(len(made) - 12), LeaderEpoch: 12, Magic: 2, CRC: Sum(made), Attributes: 0x14,
		LastOffsetDelta: 1, BaseTimestamp: 1000, MaxTimestamp: 1002, ProducerID: 1 << 41, ProducerEpoch: 7, BaseSequence: 1 << 30, Count: 2,
	}
	if got != want {
		t.Errorf("header\n%+v, want\n%+v", got, want)
	}
	if a := got.Attributes; a.Codec() != Zstd || !a.Transactional() || a.Control() || a.LogAppendTime() {
		t.Errorf("attributes %#x: codec %d, transactional %t, control %t, append time %t", a, a.Codec(), a.Transactional(), a.Control(), a.LogAppendTime())
	}
	if got.Size() != len(made) || got.Next() != 1<<42+2 {
		t.Errorf("size %d and next %d, want %d and %d", got.Size(), got.Next(), len(made), int64(1)<<42+2)
	}
}

func TestNoHeaderInTooFewBytesOrWithAShortLength(t *testing.T) {
	made := three().Build()
	for n := range HeaderSize {
		if _, err := Parse(made[:n]); !errors.Is(err, kerr.InvalidRecord) {
			t.Fatalf("%d bytes: %v, want %v", n, err, kerr.InvalidRecord)
		}
	}
	for _, length := range []int32{-1, math.MinInt32, 0, HeaderSize - lengthEnd - 1} {
		binary.BigEndian.PutUint32(made[8:], uint32(length))
		if _, err := Parse(made); !errors.Is(err, kerr.CorruptMessage) {
			t.Errorf("length %d: %v, want %v", length, err, kerr.CorruptMessage)
		}
	}
}

func TestStampingLeavesTheCRCValid(t *testing.T) {
	made := three().Build()
	Stamp(made, 4711, 3)
	for r, err := range Records(made, 1<<20) {
		if err != nil || r.Offset < 4711 || r.Offset > 4713 {
			t.Errorf("record at %d, %v", r.Offset, err)
		}
	}
	if h, _ := Parse(made); h.CRC != Sum(made) || h.BaseOffset != 4711 || h.LeaderEpoch != 3 {
		t.Errorf("header %+v, CRC should be %d", h, Sum(made))
	}
}

func TestAppendTimeIsEveryRecordsTime(t *testing.T) {
	made := three().Build()
	StampAppendTime(made, 999)
	h, err := Parse(made)
	if err != nil || h.CRC != Sum(made) || !h.Attributes.LogAppendTime() || h.MaxTimestamp != 999 || h.BaseTimestamp != 100 {
		t.Errorf("header %+v, %v; CRC should be %d", h, err, Sum(made))
	}
	for _, r := range decode(t, made) {
		if r.Timestamp != 999 {
			t.Errorf("record %d has time %d, want 999", r.Offset, r.Timestamp)
		}
	}
}

// sealed gives a batch the CRC of what it says now.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], Sum(b))
	return b
}

func TestKafkaMendsTheLargestTimestampAndTheAppendTimeBit(t *testing.T) {
	for _, codec := range codecs {
		for _, lie := range []int64{0, 105, 1 << 50} {
			for _, bit := range []Attributes{0, appendTimeBit} {
				b := three()
				b.Codec = codec
				made := b.Build()
				setAttributes(made, Attributes(codec)|bit)
				binary.BigEndian.PutUint64(made[35:], uint64(lie))
				sealed(made)
				want := int64(105)
				if codec != None {
					want = lie // a batch is not opened to look
				}
				h, _, err := Check(made, lenient)
				if err != nil {
					t.Fatal(err)
				}
				if again, _ := Parse(made); again != h {
					t.Errorf("codec %d: told %+v, but wrote %+v", codec, h, again)
				}
				if h.MaxTimestamp != want || h.Attributes.LogAppendTime() || h.CRC != Sum(made) {
					t.Errorf("codec %d, max %d, bit %t: %+v, want max %d", codec, lie, bit != 0, h, want)
				}
			}
		}
	}
}

// For a compacted topic each batch is opened, for each record needs a key.
func TestKeysAreRequiredInsideCompressedBatches(t *testing.T) {
	rules := lenient
	rules.Compact, rules.Name = true, "orders-3"
	for _, codec := range codecs {
		b := three()
		b.Codec = codec
		if _, flaws, err := Check(b.Build(), rules); err != nil || flaws != nil {
			t.Errorf("codec %d: %v, %v", codec, flaws, err)
		}
		for range 200 {
			b.Add(100, nil, []byte("keyless"))
		}
		_, flaws, err := Check(b.Build(), rules)
		if !errors.Is(err, kerr.InvalidRecord) || !bytes.Contains([]byte(err.Error()), []byte("due to 200 record errors in total")) {
			t.Errorf("codec %d: %v", codec, err)
		}
		want := Flaw{3, "Compacted topic cannot accept message without key in topic partition orders-3"}
		if len(flaws) != flawsMax || flaws[0] != want {
			t.Errorf("codec %d: %d flaws, the first %v, want %d, %v", codec, len(flaws), flaws[0], flawsMax, want)
		}
	}
	garbage := three()
	garbage.Codec = Gzip
	made := garbage.Build()
	copy(made[HeaderSize:], "this is no stream")
	if _, _, err := Check(sealed(made), rules); !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("garbage: %v, want %v", err, kerr.CorruptMessage)
	}
}

func TestTimestampsMustLieNearNow(t *testing.T) {
	rules := Rules{Version: 9, MaxBytes: 1 << 20, Now: 10_000, BeforeMax: 1000, AfterMax: 100}
	for _, tt := range []struct {
		first, second int64
		late          int32 // the record that is out of range; -1: none
	}{
		{10_000, 10_000, -1}, {9_000, 10_100, -1}, {8_999, 10_000, 0}, {10_000, 10_101, 1}, {-1, -1, -1}, {10_000, math.MaxInt64, 1},
	} {
		for _, codec := range []Codec{None, LZ4} {
			b := &Builder{Codec: codec}
			made := b.Add(tt.first, nil, nil).Add(tt.second, nil, nil).Build()
			_, flaws, err := Check(made, rules)
			switch {
			case tt.late < 0 && err != nil:
				t.Errorf("codec %d, %d and %d: %v", codec, tt.first, tt.second, err)
			case tt.late >= 0 && (!errors.Is(err, kerr.InvalidTimestamp) || len(flaws) != 1 || flaws[0].Index != tt.late):
				t.Errorf("codec %d, %d and %d: %v, %v", codec, tt.first, tt.second, flaws, err)
			}
			rules := rules
			rules.LogAppendTime = true
			if _, _, err := Check(made, rules); err != nil {
				t.Errorf("codec %d, %d and %d, log append time: %v", codec, tt.first, tt.second, err)
			}
		}
	}
}

func TestCheckingAllocatesNothing(t *testing.T) {
	for _, codec := range codecs {
		b := three()
		b.Codec = codec
		made := b.Build()
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := Check(made, lenient); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("codec %d: %.0f allocations", codec, n)
		}
	}
}

func TestARunIsSplitIntoItsBatches(t *testing.T) {
	var run []byte
	var want [][]byte
	for i := range 3 {
		b := &Builder{Base: int64(i)}
		want = append(want, b.Add(1, nil, bytes.Repeat([]byte{'v'}, i)).Build())
		run = append(run, want[i]...)
	}
	for cut := range len(run) + 1 {
		var got [][]byte
		var failed error
		for b, err := range Walk(run[:cut]) {
			if err != nil {
				failed = err
				break
			}
			got = append(got, b)
		}
		whole, left := 0, cut
		for whole < 3 && left >= len(want[whole]) {
			left -= len(want[whole])
			whole++
		}
		if fmt.Sprint(got) != fmt.Sprint(want[:whole]) || (failed != nil) != (left > 0) {
			t.Fatalf("cut at %d: %d batches and %v, want %d", cut, len(got), failed, whole)
		}
	}
}

func TestReadersMayStopEarly(t *testing.T) {
	made := three().Build()
	for r, err := range Records(made, 1<<20) {
		if r.Offset != 0 || err != nil {
			t.Error("read on")
		}
		break
	}
	for range Walk(append(bytes.Clone(made), made...)) {
		break
	}
}

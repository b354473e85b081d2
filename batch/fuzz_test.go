package batch

import (
	"bytes"
	"testing"
)

// Whatever the bytes: no panic, no more memory than the bounds allow, and what
// passes the check can be read.
func FuzzBatch(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.sent, g.version, false)
	}
	for _, codec := range codecs {
		f.Add(clientBatch(f, codec, same()[:3]), int16(9), true)
	}
	f.Add(bomb(Zstd, 4<<20), int16(9), true)
	f.Fuzz(func(t *testing.T, b []byte, version int16, compact bool) {
		const bound = 1 << 20
		sent := bytes.Clone(b)
		if h, err := Parse(sent); err == nil && h.Size() <= len(sent) {
			sealed(sent[:h.Size()]) // or most inputs would end at the CRC
		}
		rules := Rules{Version: version, MaxBytes: bound, Now: 1_700_000_000_000, BeforeMax: -1, AfterMax: 3_600_000, Compact: compact}
		h, flaws, err := Check(sent, rules)
		if len(flaws) > flawsMax {
			t.Fatalf("%d flaws", len(flaws))
		}
		for range Walk(sent) {
		}
		count := int32(0)
		var broken error
		for r, failed := range Records(sent, bound) {
			if broken = failed; failed == nil && err == nil && h.Attributes.Codec() == None && r.Offset != int64(count) {
				t.Fatalf("record %d has the offset %d", count, r.Offset)
			}
			count++
		}
		if err != nil {
			return
		}
		if again, err := Parse(sent); err != nil || again != h || Sum(sent[:h.Size()]) != h.CRC {
			t.Fatalf("told %+v, wrote %+v, %v", h, again, err)
		}
		if h.Attributes.Codec() == None && (broken != nil || count != h.Count) {
			t.Fatalf("passed the check, but reads as %d of %d records: %v", count, h.Count, broken)
		}
	})
}

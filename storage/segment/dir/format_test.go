package dir

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
)

// What an index file is was written down once, in testdata, and stays readable.
func TestIndexFormat(t *testing.T) {
	entries := []entry{{0, 0, 1_700_000_000_000}, {17, 16_400, 1_700_000_000_500}, {4_000_000_000, 4_294_000_000, 1_700_000_009_000}}
	end := tail{max: 1_700_000_009_001, next: 5_000_000_000, length: 4_294_100_000, first: 1_700_000_000_123}
	text, err := os.ReadFile("testdata/index-1.hex")
	must(t, err)
	kept, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	must(t, err)

	if got := encodeIndex(entries, end); !bytes.Equal(got, kept) {
		t.Errorf("an index is written as\n%x, want\n%x", got, kept)
	}
	gotEntries, gotEnd, err := decodeIndex(kept)
	if err != nil || !reflect.DeepEqual(gotEntries, entries) || gotEnd != end {
		t.Errorf("read %v %v, %v", gotEntries, gotEnd, err)
	}
	for i := range len(kept) * 8 {
		bent := bytes.Clone(kept)
		bent[i/8] ^= 1 << (i % 8)
		if _, _, err := decodeIndex(bent); err == nil {
			t.Errorf("an index with bit %d turned is believed", i)
		}
	}
	for n := range kept {
		if _, _, err := decodeIndex(kept[:n]); err == nil {
			t.Errorf("%d bytes of an index are believed", n)
		}
	}
}

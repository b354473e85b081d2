package file

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"milena/storage/disk"
	"milena/storage/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden gives the bytes of a golden file: lines of offset and hexadecimal
// bytes; what is not there is zeros. What was once written must stay readable:
// a difference is a new format, not a mend.
func golden(t *testing.T, name string, written []byte) []byte {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, dump(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(written); string(got) != string(text) {
		t.Errorf("%s: the format changed:\n%s\nwant\n%s", name, got, text)
	}
	b := make([]byte, len(written))
	for line := range strings.Lines(string(text)) {
		var at int
		var row string
		if _, err := fmt.Sscanf(line, "%x %s", &at, &row); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		raw, err := hex.DecodeString(row)
		if err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		copy(b[at:], raw)
	}
	return b
}

// dump writes bytes as lines of 16, without those that are all zeros.
func dump(b []byte) []byte {
	var out bytes.Buffer
	for at := 0; at < len(b); at += 16 {
		row := b[at:min(at+16, len(b))]
		if len(bytes.Trim(row, "\x00")) > 0 || at+16 >= len(b) {
			fmt.Fprintf(&out, "%06x %x\n", at, row)
		}
	}
	return out.Bytes()
}

// eachFlip calls a test with every bit turned, one at a time.
func eachFlip(b []byte, test func(at int, flipped []byte)) {
	flipped := bytes.Clone(b)
	for at := range len(b) * 8 {
		flipped[at/8] ^= 1 << (at % 8)
		test(at/8, flipped)
		flipped[at/8] ^= 1 << (at % 8)
	}
}

func TestGoldenHead(t *testing.T) {
	h := head{generation: 0x0123456789abcdef, number: 3, first: 77, going: 2, ends: []position{{10, 11}, {20, 21}, {0, 0}}}
	b := make([]byte, headSize(3))
	h.encode(b)
	b = golden(t, "head.golden", b)
	got, err := decodeHead(b)
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("read %+v, %v; want %+v", got, err, h)
	}
	end := headFixed + 3*headPerLog + 4
	eachFlip(b[:end], func(at int, flipped []byte) {
		if _, err := decodeHead(flipped); !errors.Is(err, errNoHead) {
			t.Fatalf("a bit of byte %d is turned: %v, want %v", at, err, errNoHead)
		}
	})
	for n := range end {
		if _, err := decodeHead(b[:n]); !errors.Is(err, errNoHead) {
			t.Fatalf("the first %d bytes: %v, want %v", n, err, errNoHead)
		}
	}
}

// goldenChunk holds an entry's last piece, a whole entry, and one without a body.
func goldenChunk(t *testing.T) ([]byte, []row) {
	t.Helper()
	const generation = 0x0123456789abcdef
	taken := []piece{
		{item: item{entry: journal.Entry{Log: 1, Place: 21, Token: 5, Body: [][]byte{[]byte("gone, the "), []byte("rest")}}}, from: 10, until: 14, last: true},
		{item: item{entry: journal.Entry{Log: 0, Place: 11, Token: 6, Body: [][]byte{[]byte("whole")}}}, until: 5, last: true},
		{item: item{entry: journal.Entry{Log: 2, Place: 1, Token: 7}}, last: true},
	}
	chunk := make([]byte, chunkFixed+len(taken)*rowSize+9)
	fill(chunk, taken, generation)
	sealChunk(chunk, generation, 78, 77, len(taken))
	var rows []row
	for i := range taken {
		rows = append(rows, decodeRow(chunk[chunkFixed+i*rowSize:]))
	}
	return chunk, rows
}

func TestGoldenChunk(t *testing.T) {
	b, rows := goldenChunk(t)
	b = golden(t, "chunk.golden", b)
	read := func(b []byte) ([]row, [][]byte, []bool, error) {
		fs := disk.NewMemory()
		f, err := fs.Open("chunk", disk.Write|disk.Create)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		r := newReader(fs, "chunk", int64(len(b)))
		defer r.close()
		return r.whole(chunkAt{number: 78, length: len(b)}, 0x0123456789abcdef)
	}
	got, pieces, good, err := read(b)
	if err != nil || !all(good) || !reflect.DeepEqual(got, rows) {
		t.Fatalf("read %+v %v, %v; want %+v", got, good, err, rows)
	}
	if text := string(bytes.Join(pieces, []byte("|"))); text != "rest|whole|" {
		t.Errorf("pieces %q", text)
	}
	want := []row{
		{log: 1, flags: lastPiece, length: 4, place: 21, token: 5, sum: rows[0].sum},
		{log: 0, flags: firstPiece | lastPiece, length: 5, place: 11, token: 6, sum: rows[1].sum},
		{log: 2, flags: firstPiece | lastPiece, length: 0, place: 1, token: 7, sum: rows[2].sum},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %+v, want %+v", rows, want)
	}
	eachFlip(b, func(at int, flipped []byte) {
		_, _, good, err := read(flipped)
		if at < chunkFixed+len(rows)*rowSize {
			if !errors.Is(err, journal.ErrDamage) || !strings.Contains(err.Error(), "chunk 78 in chunk at 0") {
				t.Fatalf("a bit of byte %d is turned, in head or rows: %v", at, err)
			}
		} else if err != nil || all(good) {
			t.Fatalf("a bit of byte %d is turned, in a piece: good %v, %v", at, good, err)
		}
	})
	for n := range len(b) {
		if _, _, _, err := read(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes passed for a chunk", n, len(b))
		}
	}
}

func TestGoldenSnapshot(t *testing.T) {
	snapshots := []journal.Snapshot{
		{Log: 0, Place: 10, Token: 11, Keep: 8, Body: []byte("the state of log 0")},
		{Log: 2, Place: 1 << 40, Token: 1 << 63, Keep: 1<<40 - 1, Body: []byte{}},
	}
	b := golden(t, "snapshot.golden", encodeSnapshots(7, snapshots, []bool{false, false, true}))
	number, got, stopped, err := decodeSnapshots(b)
	if err != nil || number != 7 || !reflect.DeepEqual(got, snapshots) || !reflect.DeepEqual(stopped, []bool{false, false, true}) {
		t.Fatalf("read %d %+v, stopped %v, %v; want 7 %+v, log 2 stopped", number, got, stopped, err, snapshots)
	}
	eachFlip(b, func(at int, flipped []byte) {
		if _, _, _, err := decodeSnapshots(flipped); !errors.Is(err, errSnapshot) {
			t.Fatalf("a bit of byte %d is turned: %v, want %v", at, err, errSnapshot)
		}
	})
	for n := range len(b) {
		if _, _, _, err := decodeSnapshots(b[:n]); !errors.Is(err, errSnapshot) {
			t.Fatalf("the first %d bytes: %v, want %v", n, err, errSnapshot)
		}
	}
}

// What format 1 wrote is read: it knew nothing of stopped logs.
func TestASnapshotOfFormat1IsRead(t *testing.T) {
	b := undump(t, "snapshot-1.golden")
	number, got, stopped, err := decodeSnapshots(b)
	if err != nil || number != 7 || len(got) != 2 || slices.Contains(stopped, true) {
		t.Fatalf("read %d %+v, stopped %v, %v", number, got, stopped, err)
	}
	if s := got[0]; s.Log != 0 || s.Place != 10 || s.Token != 11 || s.Keep != 8 || string(s.Body) != "the state of log 0" {
		t.Errorf("log 0: %+v", s)
	}
	if s := got[1]; s.Log != 2 || s.Place != 1<<40 || s.Token != 1<<63 || s.Keep != 1<<40-1 || len(s.Body) != 0 {
		t.Errorf("log 2: %+v", s)
	}
}

// undump gives the bytes of a golden file that nothing writes any more; its
// last bytes are no zeros.
func undump(t *testing.T, name string) (b []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var at int
		var row string
		if _, err := fmt.Sscanf(line, "%x %s", &at, &row); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		raw, err := hex.DecodeString(row)
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, make([]byte, at-len(b))...), raw...)
	}
	return b
}

package dir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"milena/storage/disk"
)

const (
	indexMagic  = 0x31494a4d // MJI1
	indexFormat = 1
	indexHead   = 8
	indexEach   = 16
	indexTail   = 60
	indexMax    = 1 << 28 // bytes of an index file
	tailMark    = 0xffffffff
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// index says where in a segment some of its batches stand. Entries are added
// behind and never changed, so that a copy of it stays true.
type index struct {
	entries []entry
	low     int64 // from this position on it is complete
	lowNext int64 // the offset that stands there
	max     int64 // largest timestamp from there on; -1: none
}

type entry struct {
	offset   uint32 // less the segment's base
	position uint32
	max      int64 // largest timestamp from low up to and with the batch at position
}

// add notes a batch, if enough stands between it and the last that was noted.
func (x *index) add(offset, position, timestamp, every int64) {
	x.max = max(x.max, timestamp)
	if n := len(x.entries); n > 0 && position-int64(x.entries[n-1].position) < every {
		return
	}
	if offset >= tailMark || position >= tailMark {
		return
	}
	x.entries = append(x.entries, entry{uint32(offset), uint32(position), x.max})
}

// before gives the last noted batch at or below an offset.
func (x *index) before(offset int64) (at, base int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) > offset })
	if i == 0 {
		return 0, 0
	}
	return int64(x.entries[i-1].position), int64(x.entries[i-1].offset)
}

// last gives the last noted batch at or below a position and below an offset.
func (x *index) last(position, offset int64) (at, base int64) {
	i := sort.Search(len(x.entries), func(i int) bool {
		return int64(x.entries[i].position) > position || int64(x.entries[i].offset) >= offset
	})
	if i == 0 {
		return 0, 0
	}
	return int64(x.entries[i-1].position), int64(x.entries[i-1].offset)
}

// since gives a noted batch before which none is as late as a time.
func (x *index) since(time int64) (at, base int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].max >= time })
	if i == 0 {
		return 0, 0
	}
	return int64(x.entries[i-1].position), int64(x.entries[i-1].offset)
}

// under gives an index that says of what lies below x what low says.
func (x *index) under(low index) index {
	whole := index{entries: low.entries, max: max(low.max, x.max)}
	for _, e := range x.entries {
		e.max = max(e.max, low.max)
		whole.entries = append(whole.entries, e)
	}
	return whole
}

// cut gives an index of what lies below a position.
func (x *index) cut(position int64) index {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) >= position })
	return index{entries: x.entries[:n:n], max: -1}
}

// tail is what an index file says of its segment as a whole.
type tail struct {
	max    int64 // largest timestamp
	next   int64 // offset behind the last batch
	length int64 // bytes of the segment
	first  int64 // wall clock of the first write, ms
}

func encodeIndex(entries []entry, t tail) []byte {
	b := make([]byte, 0, indexHead+indexEach*len(entries)+indexTail)
	b = binary.LittleEndian.AppendUint32(b, indexMagic)
	b = binary.LittleEndian.AppendUint32(b, indexFormat)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, e.offset)
		b = binary.LittleEndian.AppendUint32(b, e.position)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.max))
	}
	sum, from := crc32.Checksum(b, castagnoli), len(b)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1)
	for _, v := range []int64{t.max, t.next, t.length, t.first} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	b = binary.LittleEndian.AppendUint64(b, 0) // aborted transactions, and room
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entries)))
	b = binary.LittleEndian.AppendUint32(b, sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

var errNoIndex = errors.New("index does not verify")

func decodeIndex(b []byte) (entries []entry, t tail, err error) {
	if len(b) < indexHead+indexTail {
		return nil, t, errNoIndex
	}
	body, end := b[:len(b)-indexTail], b[len(b)-indexTail:]
	t, count, sum, err := decodeTail(end)
	switch {
	case err != nil:
		return nil, t, err
	case len(body) != indexHead+indexEach*int(count), crc32.Checksum(body, castagnoli) != sum:
		return nil, t, errNoIndex
	case binary.LittleEndian.Uint32(b) != indexMagic || binary.LittleEndian.Uint32(b[4:]) != indexFormat:
		return nil, t, errNoIndex
	}
	entries = make([]entry, 0, count)
	for body = body[indexHead:]; len(body) > 0; body = body[indexEach:] {
		e := entry{binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:]), int64(binary.LittleEndian.Uint64(body[8:]))}
		if n := len(entries); n > 0 && (e.offset <= entries[n-1].offset || e.position <= entries[n-1].position || e.max < entries[n-1].max) {
			return nil, t, errNoIndex
		}
		entries = append(entries, e)
	}
	return entries, t, nil
}

func decodeTail(b []byte) (t tail, count, sum uint32, err error) {
	if crc32.Checksum(b[:indexTail-4], castagnoli) != binary.LittleEndian.Uint32(b[indexTail-4:]) || binary.LittleEndian.Uint64(b) != 1<<64-1 {
		return t, 0, 0, errNoIndex
	}
	t = tail{
		max: int64(binary.LittleEndian.Uint64(b[8:])), next: int64(binary.LittleEndian.Uint64(b[16:])),
		length: int64(binary.LittleEndian.Uint64(b[24:])), first: int64(binary.LittleEndian.Uint64(b[32:])),
	}
	return t, binary.LittleEndian.Uint32(b[48:]), binary.LittleEndian.Uint32(b[52:]), nil
}

// writeIndex writes a segment's index. It is not synced: what can be made again
// need not survive, and what survives by half does not verify.
func writeIndex(fs disk.FS, name string, entries []entry, t tail) error {
	f, err := fs.Open(name, disk.Write|disk.Create)
	if err != nil {
		return err
	}
	b := encodeIndex(entries, t)
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Truncate(int64(len(b))), f.Close())
}

func readIndex(fs disk.FS, name string) (entries []entry, t tail, err error) {
	b, err := readEnd(fs, name, indexMax)
	if err != nil {
		return nil, t, err
	}
	return decodeIndex(b)
}

// readTail reads only what an index says of its segment as a whole.
func readTail(fs disk.FS, name string) (t tail, err error) {
	b, err := readEnd(fs, name, indexTail)
	if err == nil && len(b) < indexTail {
		err = errNoIndex
	}
	if err != nil {
		return t, err
	}
	t, _, _, err = decodeTail(b)
	return t, err
}

// readEnd reads a file's last bytes, so many at most.
func readEnd(fs disk.FS, name string, limit int64) ([]byte, error) {
	f, err := fs.Open(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, limit))
	if n, err := f.ReadAt(b, size-int64(len(b))); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", name, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return b, nil
}

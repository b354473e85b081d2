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
	indexTail   = indexEach + 8 + 4 + 4
	sealedMark  = 0xffffffff
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// index says where in a segment some of its batches stand.
type index struct {
	entries []entry
	whole   bool // it covers the segment up to its length
}

type entry struct {
	offset   uint32 // less the segment's base
	position uint32
	max      int64 // largest timestamp up to and with the batch at position
}

// add notes a batch, if enough stands between it and the last that was noted.
func (x *index) add(offset, position, max int64, every int64) {
	if n := len(x.entries); n > 0 && position-int64(x.entries[n-1].position) < every {
		return
	}
	if offset >= sealedMark || position >= sealedMark {
		return
	}
	x.entries = append(x.entries, entry{uint32(offset), uint32(position), max})
}

// before gives the position of the last noted batch at or below an offset.
func (x *index) before(offset int64) int64 {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].offset) > offset })
	if i == 0 {
		return 0
	}
	return int64(x.entries[i-1].position)
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

// since gives a position before which no batch is as late as a time.
func (x *index) since(time int64) int64 {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].max >= time })
	if i == 0 {
		return 0
	}
	return int64(x.entries[i-1].position)
}

// loadIndex makes sure that the segment has an index: its own, the file's, or
// one made by going through the segment's headers. Under the partition's lock.
func (g *seg) loadIndex() error {
	if g.index.whole {
		return nil
	}
	if g.sealed && g.readIndex() == nil {
		g.index.whole = true
		return nil
	}
	h, err := g.part.store.files.take(g, false)
	if err != nil {
		return err
	}
	defer h.release()
	g.index.entries, g.max = nil, -1
	for at := int64(0); at < g.length; {
		header, err := g.header(h, at)
		if err != nil {
			return err
		}
		g.max = max(g.max, header.MaxTimestamp)
		g.index.add(header.BaseOffset-g.base, at, g.max, g.part.store.o.IndexEvery)
		at += int64(header.Size())
	}
	g.index.whole = true
	return nil
}

func (g *seg) encodeIndex() []byte {
	b := binary.LittleEndian.AppendUint32(nil, indexMagic)
	b = binary.LittleEndian.AppendUint32(b, indexFormat)
	for _, e := range append(g.index.entries[:len(g.index.entries):len(g.index.entries)], entry{sealedMark, sealedMark, g.max}) {
		b = binary.LittleEndian.AppendUint32(b, e.offset)
		b = binary.LittleEndian.AppendUint32(b, e.position)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.max))
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(g.next))
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// writeIndex writes a sealed segment's index. It is not synced: what can be
// made again need not survive.
func (g *seg) writeIndex() error {
	f, err := g.part.store.fs.Open(g.name(".index"), disk.Write|disk.Create)
	if err != nil {
		return err
	}
	b := g.encodeIndex()
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Truncate(int64(len(b))), f.Close())
}

var errNoIndex = errors.New("index does not verify")

func (g *seg) readIndex() error {
	f, err := g.part.store.fs.Open(g.name(".index"), 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size > 1<<30 {
		return errNoIndex
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", g.name(".index"), err)
	}
	entries, latest, end, err := decodeIndex(b)
	if err != nil || end != g.next {
		return errNoIndex
	}
	g.index.entries, g.max = entries, latest
	return nil
}

func decodeIndex(b []byte) (entries []entry, latest, end int64, err error) {
	if len(b) < indexHead+indexTail || (len(b)-indexHead-indexTail)%indexEach != 0 ||
		binary.LittleEndian.Uint32(b) != indexMagic || binary.LittleEndian.Uint32(b[4:]) != indexFormat ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, 0, 0, errNoIndex
	}
	tail := b[len(b)-indexTail:]
	for b = b[indexHead : len(b)-indexTail]; len(b) > 0; b = b[indexEach:] {
		entries = append(entries, entry{
			binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), int64(binary.LittleEndian.Uint64(b[8:])),
		})
	}
	return entries, int64(binary.LittleEndian.Uint64(tail[8:])), int64(binary.LittleEndian.Uint64(tail[indexEach:])), nil
}

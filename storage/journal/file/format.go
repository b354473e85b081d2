package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"milena/storage/disk"
	"milena/storage/journal"
)

const (
	headMagic      = 0x31484a4d // MJH1
	chunkMagic     = 0x31434a4d // MJC1
	snapshotMagic  = 0x31534a4d // MJS1
	format         = 1          // of files
	snapshotFormat = 2

	block        = disk.Align
	headFixed    = 40
	headPerLog   = 16
	chunkFixed   = 40
	rowSize      = 32
	chunkMax     = 4 << 20
	snapshotHead = 20
	snapshotEach = 2 + 2 + 8 + 8 + 8 + 4
	stoppedFlag  = 1

	firstPiece = 1
	lastPiece  = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed begins a CRC of a generation.
func seed(generation uint64) uint32 {
	var g [8]byte
	binary.LittleEndian.PutUint64(g[:], generation)
	return crc32.Checksum(g[:], castagnoli)
}

func pad(n int) int { return (n + block - 1) &^ (block - 1) }

// position is a log's end at some point.
type position struct {
	place uint64
	token journal.Token
}

// head begins a file's life.
type head struct {
	generation uint64
	number     uint64
	first      uint64 // chunk
	going      uint32 // log + 1 whose entry goes on from the file before; 0: none
	ends       []position
}

// needs is the place up to which a log's entries stand, at least in part, in
// the files before this one.
func (h head) needs(log int) uint64 {
	if h.going == uint32(log)+1 {
		return h.ends[log].place + 1
	}
	return h.ends[log].place
}

func headSize(logs int) int { return pad(headFixed + logs*headPerLog + 4) }

func (h head) encode(b []byte) {
	clear(b)
	binary.LittleEndian.PutUint32(b, headMagic)
	binary.LittleEndian.PutUint32(b[4:], format)
	binary.LittleEndian.PutUint64(b[8:], h.generation)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], h.first)
	binary.LittleEndian.PutUint32(b[32:], uint32(len(h.ends)))
	binary.LittleEndian.PutUint32(b[36:], h.going)
	at := headFixed
	for _, end := range h.ends {
		binary.LittleEndian.PutUint64(b[at:], end.place)
		binary.LittleEndian.PutUint64(b[at+8:], uint64(end.token))
		at += headPerLog
	}
	binary.LittleEndian.PutUint32(b[at:], crc32.Update(seed(h.generation), castagnoli, b[:at]))
}

var errNoHead = errors.New("no head")

// decodeHead reads a head; errNoHead if there is none that verifies.
func decodeHead(b []byte) (head, error) {
	if len(b) < headFixed || binary.LittleEndian.Uint32(b) != headMagic {
		return head{}, errNoHead
	}
	h := head{
		generation: binary.LittleEndian.Uint64(b[8:]),
		number:     binary.LittleEndian.Uint64(b[16:]),
		first:      binary.LittleEndian.Uint64(b[24:]),
		going:      binary.LittleEndian.Uint32(b[36:]),
	}
	logs := int(binary.LittleEndian.Uint32(b[32:]))
	end := headFixed + logs*headPerLog
	if logs > 1<<16 || end+4 > len(b) || crc32.Update(seed(h.generation), castagnoli, b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return head{}, errNoHead
	}
	if f := binary.LittleEndian.Uint32(b[4:]); f > format {
		return head{}, fmt.Errorf("%w: format %d, this one knows up to %d", journal.ErrFormat, f, format)
	}
	for at := headFixed; at < end; at += headPerLog {
		h.ends = append(h.ends, position{
			binary.LittleEndian.Uint64(b[at:]), journal.Token(binary.LittleEndian.Uint64(b[at+8:])),
		})
	}
	return h, nil
}

// row is one piece of an entry in a chunk.
type row struct {
	log    uint16
	flags  uint16
	length uint32
	place  uint64
	token  journal.Token
	sum    uint32
}

func (r row) encode(b []byte) {
	binary.LittleEndian.PutUint16(b, r.log)
	binary.LittleEndian.PutUint16(b[2:], r.flags)
	binary.LittleEndian.PutUint32(b[4:], r.length)
	binary.LittleEndian.PutUint64(b[8:], r.place)
	binary.LittleEndian.PutUint64(b[16:], uint64(r.token))
	binary.LittleEndian.PutUint32(b[24:], r.sum)
	binary.LittleEndian.PutUint32(b[28:], 0)
}

func decodeRow(b []byte) row {
	return row{
		log:    binary.LittleEndian.Uint16(b),
		flags:  binary.LittleEndian.Uint16(b[2:]),
		length: binary.LittleEndian.Uint32(b[4:]),
		place:  binary.LittleEndian.Uint64(b[8:]),
		token:  journal.Token(binary.LittleEndian.Uint64(b[16:])),
		sum:    binary.LittleEndian.Uint32(b[24:]),
	}
}

// sealChunk writes the head of a chunk whose rows and pieces stand in place.
func sealChunk(b []byte, generation, number, durable uint64, rows int) {
	binary.LittleEndian.PutUint32(b, chunkMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	binary.LittleEndian.PutUint64(b[8:], generation)
	binary.LittleEndian.PutUint64(b[16:], number)
	binary.LittleEndian.PutUint64(b[24:], durable)
	binary.LittleEndian.PutUint32(b[32:], uint32(rows))
	binary.LittleEndian.PutUint32(b[36:], chunkSum(b, generation, rows))
}

func chunkSum(b []byte, generation uint64, rows int) uint32 {
	sum := crc32.Update(seed(generation), castagnoli, b[:36])
	return crc32.Update(sum, castagnoli, b[chunkFixed:chunkFixed+rows*rowSize])
}

// chunkHead is what a chunk's first 40 bytes say.
type chunkHead struct {
	length     int
	generation uint64
	number     uint64
	durable    uint64
	rows       int
}

// peekChunk reads a chunk's first bytes, unverified; false if they are none.
func peekChunk(b []byte) (chunkHead, bool) {
	if len(b) < chunkFixed || binary.LittleEndian.Uint32(b) != chunkMagic {
		return chunkHead{}, false
	}
	c := chunkHead{
		length:     int(binary.LittleEndian.Uint32(b[4:])),
		generation: binary.LittleEndian.Uint64(b[8:]),
		number:     binary.LittleEndian.Uint64(b[16:]),
		durable:    binary.LittleEndian.Uint64(b[24:]),
		rows:       int(binary.LittleEndian.Uint32(b[32:])),
	}
	return c, c.length <= chunkMax && c.rows <= c.length/rowSize && chunkFixed+c.rows*rowSize <= c.length
}

// verified says that head and rows are as they were written. b holds them.
func (c chunkHead) verified(b []byte) bool {
	return chunkSum(b, c.generation, c.rows) == binary.LittleEndian.Uint32(b[36:])
}

// Package file is the journal of one node: one write-ahead log for all logs,
// in recycled files that were filled with zeros beforehand, so that a write
// changes nothing but the blocks it writes.
//
// Files are journal/NN.journal. Each life of a file begins with a head, padded
// with zeros to 4 KiB; all numbers are little-endian:
//
//	at   size  head
//	0    4     magic "MJH1"
//	4    4     format
//	8    8     generation: random per life, seeds every CRC of it
//	16   8     file number, counting up
//	24   8     number of its first chunk
//	32   4     how many logs follow
//	36   4     log + 1 whose entry goes on from the file before; 0: none
//	40   16 a  log: its last place u64 and token u64 before this file
//	…    4     CRC-32C of all above
//
// and goes on with chunks, each beginning at a multiple of 4 KiB:
//
//	at   size  chunk, at most 4 MiB
//	0    4     magic "MJC1"
//	4    4     length, without the padding behind it
//	8    8     generation
//	16   8     number, counting up over all files
//	24   8     the last number that was durable when this was written
//	32   4     how many rows follow
//	36   4     CRC-32C of head (without this field) and rows
//	40   32 a  row: log u16, flags u16 (1 first piece, 2 last piece),
//	           length u32, place u64, token u64, CRC-32C of the piece u32, 0 u32
//	…          the pieces, in order; zeros up to the boundary
//
// CRCs are seeded with the generation, so neither stale bytes of an earlier
// life nor a client's payload pass for a chunk. An entry that does not fit goes
// on in the next chunk. Snapshots are journal/NNNNNNNN.snapshot:
//
//	at   size  snapshot file
//	0    4     magic "MJS1"
//	4    4     format, 2; format 1 has no flags
//	8    8     number, counting up
//	16   4     how many follow
//	20   …     each: log u16, flags u16 (1: damage stopped it at this place),
//	           place u64, token u64, keep u64, length u32, body
//	…    4     CRC-32C of all above
//
// What holds always: a block that was acknowledged is never written again
// before its file is recycled; a file is recycled only when the older of two
// snapshots no longer needs it; a file is begun when all before it is durable,
// and holds a chunk when its head is; a snapshot is never ahead of the entries
// that a power cut leaves; after a failed write or sync nothing is acknowledged
// any more.
//
// A chunk number that no chunk has ends the journal. If some chunk or head says
// that a number at or above it was durable, that is damage: the logs that it may
// have hit stop there and the rest goes on. Otherwise it is a torn tail of a
// write that nobody heard of: it is kept in lost/, and writing goes on in a new
// file. A file that lost its head is damage. A log that stopped is stopped at every
// later start: heads say that it had more, and once two snapshots say that it
// stopped, files are recycled as ever, except that those in which it went on
// behind its last good place, and those without a head, are moved to lost/; until
// somebody gives it up, and it goes on above all places that it had. With
// OSDurability a power cut may take what was acknowledged last, but never from
// the middle.
//
// It never uses a timer to gather writes: the next begins when the last ends.
package file

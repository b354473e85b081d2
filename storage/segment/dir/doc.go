// Package dir settles record batches in plain files, which Kafka's own dump
// tool reads:
//
//	topics/<topic's name, 200 characters at most>-<topic id, 32 hex digits>/<partition>/<base offset, 20 digits>.log
//
// holds v2 batches and nothing else. Beside it stands an index that can always
// be made again, NNNN.index, little-endian:
//
//	at   size  index
//	0    4     magic "MJI1"
//	4    4     format
//	8    16 a  entry, one for about 16 KiB of batches: offset less base u32,
//	           position u32, largest timestamp so far i64 (ms)
//	…          when sealed, a last entry with offset and position 0xffffffff and
//	           the segment's largest timestamp; then end offset u64, aborted
//	           transactions u32 (none yet), CRC-32C of all above u32
//
// What is dropped is first moved to removed/, so that no crash leaves files
// that nobody knows.
//
// What holds always: a file that was written is never closed unsynced; a file
// is removed when its last reader is done, and shrinks in steps, for one big
// unlink holds up the journal; an index entry is believed only if a batch that
// begins at its offset stands at its position.
//
// It never decides when to roll or what to keep, and never opens a batch.
package dir

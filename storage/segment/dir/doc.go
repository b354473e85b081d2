// Package dir settles record batches in plain files, which Kafka's own dump
// tool reads:
//
//	topics/<topic's name, 200 characters at most>-<topic id, 32 hex digits>/<partition>/
//	    <base offset, 20 digits>.log    v2 batches and nothing else
//	    <base offset, 20 digits>.index  where some of them stand
//	    <offset, 20 digits>.start       empty: all below the offset was forgotten
//
// An index can always be made again. It is little-endian:
//
//	at   size  index
//	0    4     magic "MJI1"
//	4    4     format, 1
//	8    16 a  entry, one for about 16 KiB of batches: offset less base u32,
//	           position u32, largest timestamp so far i64 (ms)
//	…    60    tail
//
//	at   size  tail
//	0    8     ones
//	8    8     largest timestamp (ms), -1: none
//	16   8     offset behind the last batch
//	24   8     bytes of the segment that it covers
//	32   8     wall clock of the segment's first write (ms)
//	40   4     aborted transactions: none yet
//	44   4     0
//	48   4     count of entries
//	52   4     CRC-32C of head and entries
//	56   4     CRC-32C of the tail up to here
//
// An active segment's index is written now and then, a sealed one's when it is
// sealed. It counts for what it covers, never for more.
//
// What is dropped is first moved to removed/, so that no crash leaves files
// that nobody knows. What is forgotten is first named by a .start file, so that
// a settled point in a forgotten segment is not taken for damage.
//
// A write that finds no room leaves a segment as it was, and may be tried again
// (segment.ErrNoRoom). An index without room is made when there is some. Any
// other failed write, and any failed sync, ends writing for good: also one that
// found no room, for then the system has dropped what it could not write.
//
// What holds always: a file that was written is never closed unsynced, and a
// failed sync is never tried again; a file is removed when its last reader is
// done, and shrinks in steps, for one big unlink holds up the journal; an index
// entry is believed only if a batch that begins at its offset stands at its
// position; no lock is held while a segment is searched.
//
// It never decides when to roll or what to keep, and never opens a batch.
package dir

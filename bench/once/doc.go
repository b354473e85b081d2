//go:build linux

// Command once is a trial: what would it bring to write large batches once, straight
// into their segments, with a fact in the journal that points at them? The product
// writes every byte twice, first into the journal, then into a segment.
//
//	once -way twice        the journal, then the segments, with checkpoints: as the product does
//	once -way cache        a segment through the page cache, fdatasync, then a fact of 100 bytes
//	once -way direct       the same by O_DIRECT, whole blocks; the last block is written again with the next batch
//
// It drives storage/journal/file and storage/segment/dir without a network, in
// -partitions partitions with -depth batches of -batch bytes under way in each, and
// prints MB/s, what this process spent on each GB, and how long a batch took to be
// durable.
//
// It shows what the disk and the processor allow and no more: nothing here recovers.
package main

// Package partition runs partitions: append, read, wait, settle, retain.
//
// Its nouns: a Table holds the partitions of an instance over its shard logs; a
// partition has a tail, the batches that are durable in the journal and not
// settled in segments yet; a Waiter is woken when a partition changes.
//
// What holds always: readers see what is durable and nothing else; a batch is
// in the tail or in a segment, never in neither; nothing waits under a shard's
// lock, so bytes are admitted before it.
//
// It never opens a batch unless a topic's rules ask for it, and knows nothing
// of the wire.
package partition

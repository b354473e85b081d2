// Package batch is Kafka's record batch, version 2, in place: bytes that are
// checked, stamped and walked where they lie.
//
//	at  size  field                    at  size  field
//	0   8     base offset              27  8     base timestamp
//	8   4     length behind it         35  8     max timestamp
//	12  4     leader epoch             43  8     producer id
//	16  1     magic                    51  2     producer epoch
//	17  4     CRC-32C from 21 on       53  4     base sequence
//	21  2     attributes               57  4     count of records
//	23  4     last offset delta        61  …     records
//
// Its nouns: a Header is what the first 61 bytes say, Rules are what a topic
// and a request allow, a Flaw is what is wrong with one record.
//
// What holds always: no byte from outside makes it panic; nothing is
// decompressed unless a rule needs it, and never beyond a bound; the base
// offset and the leader epoch lie outside the CRC, so stamping them costs
// nothing.
//
// testdata has what Apache Kafka 4.3.1 answered to odd batches. We answer
// otherwise in two ways on purpose: records whose offset deltas do not count up
// are refused, and compressed records are not looked at, so they may be garbage.
//
// It never knows which partition a batch is for. Messages of the formats before
// Kafka 0.11 are not its business.
package batch

// Package fact writes facts as bytes: what a journal entry's body and a
// snapshot's body hold.
//
// A fact is
//
//	at  size  field
//	0   2     kind, little-endian: 0x01xx cluster, 0x02xx partitions, 0x03xx groups
//	2   1     version of the kind's layout
//	3   …     fields: integers as varints (zigzag), texts and bytes with their
//	          length as a varint in front, optional ones with their length + 1
//	          (0: none), ids as they are
//
// and an entry's body a sequence of facts, each with its length as a varint in
// front. (An entry of record data has a layout of its own: partition.go.)
//
// What holds always: an unknown kind or a newer version is an error, never
// skipped; what was once written stays readable; nothing is read past its end,
// and no count is believed beyond the bytes that are left.
//
// It never decides anything.
package fact

// Package classic is Kafka's classic group protocol as a pure machine: who is a
// member, which generation they are in, what each was assigned, and which
// offsets are committed.
//
// Its nouns: a Group; a Member of its generation; a joiner, who waits with a
// ticket until the generation is complete.
//
// What holds always: a ticket is answered once; a generation has one leader,
// who is a member; what must survive (generation, members, assignment, offsets)
// is written by Apply only, and what need not (who waits, deadlines) starts
// afresh when a group is loaded: nobody is evicted for the time that the broker
// was away.
//
// It never reads a clock, draws no random id, and knows no assignor by name.
package classic

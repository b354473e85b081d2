// Package shard turns one numbered log into a state, by the rule that the
// whole broker rests on:
//
//	decide  under the log's lock, against what is durable and what runs ahead
//	append  at the next place; keep the command
//	apply   when the journal says OK, in order of place
//	answer  once the newest place that the decision looked at is durable
//
// Its nouns: a Log runs the rule over one journal log; a State is what its
// entries add up to; a Set is all logs of an instance, recovered and
// checkpointed together.
//
// What holds always: a State's durable fields are written by its Apply (or
// Replay) only, in order of place, under the log's lock; nobody hears an answer
// before all it rests on is durable.
//
// It never knows what a topic or a group is, nor which engine keeps the journal.
package shard

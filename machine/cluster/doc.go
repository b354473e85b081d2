// Package cluster is what the whole cluster agrees on: which topics there are
// and with which configuration, who may sign in, which producer ids are given
// away.
//
// Its nouns: a Topic, a User with a Verifier per SCRAM mechanism, a block of
// producer ids. Cluster is the machine: commands give facts, Apply remembers.
//
// What holds always: Topic and User values never change; a topic's id is never
// used twice; a name that is created again gets a leader epoch above its last,
// and a topic whose shown offsets may be gone one above its own;
// a producer id is given once.
//
// It never knows where a partition lies, and never sees a password.
package cluster

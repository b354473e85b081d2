// Package faulty puts faults between a log and its journal, so that a test can
// show every outcome that the contract of seam 1 allows, over any engine.
//
// Its nouns: a Fault is what a test does to one entry; Steer says which; Hang
// is a disk that does not answer.
//
// What holds always: without a fault it is the engine behind it; with one it
// still keeps the contract, so what a log does wrong with it, it would do wrong
// with a real engine on a bad day. An entry that was told OK is stored; behind one
// that is Unknown all are, until its writer appends it again.
//
// It never fails by chance: a test that wants chance draws it.
package faulty

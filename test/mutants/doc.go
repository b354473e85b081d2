// Package mutants plants bugs, one at a time, and looks whether the tests that
// promise to catch them do.
//
// A bug is a replacement of one piece of source text that occurs once. It is
// compiled in by go's -overlay, so that no file changes. A bug that survives is
// an error, and so is one whose text is no longer there.
package mutants

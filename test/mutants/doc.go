// Package mutants plants bugs and looks whether the tests that promise to catch
// them do.
//
// A bug is a replacement of one piece of source text that occurs once. All bugs
// are compiled in together by go's -overlay, so that no file changes, and each
// sleeps until its name stands in the environment: one build of each package's
// tests serves all bugs. First every test runs while all of them sleep, and has
// to pass; then once for each bug, and has to fail. A bug that survives is an
// error, and so is one whose text is no longer there.
package mutants

// Package disk is the file calls that storage engines make, and nothing above
// them: files on the machine's disk, and a disk in memory that crashes at will.
//
// Its nouns: an FS is a directory tree under one root, a File is one open file,
// Memory is the crashing twin, Faulty fails or delays calls of either.
//
// What holds always: no name leads out of the root; an error says which call on
// which file failed; the twin never keeps more than a real disk must, and by
// its seed's coin often no more than that.
//
// It never buffers and never retries.
package disk

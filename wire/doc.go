// Package wire is listeners, TLS, SASL, frames, and one connection's line of
// answers.
//
// Its nouns: a Server has listeners; a connection has a reader, which starts
// requests in order of arrival, and a writer, which finishes them in the same
// order and sends all answers that are ready at once; a frame is one request's
// bytes in a pooled buffer.
//
// What holds always: bytes from outside never end the process; before login
// frames are small and only three APIs are heard; a frame's bytes come out of
// its connection's share and of one budget, with a reserve for small ones, so
// that heartbeats pass; what was started is answered, also when the server
// stops; a panic costs one connection; a failure writes one line at most; a
// goroutine ends with its connection, unless a request never ends.
//
// It never looks into a record, and answers no API but the two of SASL.
package wire

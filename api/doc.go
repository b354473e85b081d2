// Package api turns Kafka's requests into calls of the rooms below it, and
// their answers back: one file an API, apis.go the table of them.
//
// A handler authorises, translates, calls one thing, translates back. What it
// decides itself is only what the wire alone knows: which versions have which
// fields, and which codes an old client can read.
//
// It never holds state between requests, and never touches a disk or a socket.
package api

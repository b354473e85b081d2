package api

import (
	"context"
	"time"

	"milena/partition"
	"milena/storage/segment"
)

// Session is what one connection knows about its client. One goroutine writes
// it: the connection's reader.
type Session struct {
	Listener string // its name
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	User     string // ANONYMOUS on a listener without SASL
	Host     string // the client's address without its port
	ClientID string // of the request that is being started
	Software string // name and version, as ApiVersions v3 told them

	// Advertised is where this client reaches this broker.
	Advertised Address

	received time.Time // when the request came, in the copy that its handler gets
}

// Address is a host and a port as a client dials them.
type Address struct {
	Host string
	Port int32
}

// Request is one frame, its header read and its body checked by shape.
type Request struct {
	Key, Version int16
	ClientID     string
	Body         []byte // in the frame's buffer
	Lease        partition.Lease
	Received     time.Time
}

// Finish gives a request's answer when its turn has come. It may wait; ctx
// ends when the client is gone or the broker stops.
type Finish func(ctx context.Context) Answer

// Answer is what goes back. Exactly one of Body, Parts, Silent, Close counts;
// an error in Close closes the connection and is what the log says.
type Answer struct {
	Body    []byte // behind the response header
	Parts   []Part // the same in pieces, some of them in files
	Silent  bool   // acks=0: nothing goes back
	Close   error
	Release func() // when the answer is sent or dropped; may be nil
}

// Part is bytes, or a range of a file.
type Part struct {
	Bytes  []byte
	File   segment.File
	At     int64
	Length int
}

// Server starts requests. Start is called in order of arrival and never waits
// for disk or peers; the finishes are called in the same order. An error
// closes the connection.
type Server interface {
	Start(s *Session, r Request) (Finish, error)
	// Versions tells what is served, in order of key.
	Versions() []VersionRange
}

// VersionRange is the versions of one API.
type VersionRange struct {
	Key, Min, Max int16
}

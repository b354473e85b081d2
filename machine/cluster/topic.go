package cluster

import "time"

// Topic is one topic. It never changes: a change makes a new value.
type Topic struct {
	Name        string
	ID          [16]byte
	Partitions  int32
	Replication int16             // as asked for; one copy is kept
	Configs     map[string]string // what was set, nothing else
	Epoch       int32             // leader epoch of all of its partitions
	Created     time.Time
}

// NewTopic asks for a topic. -1 stands for the broker's default.
type NewTopic struct {
	Name        string
	ID          [16]byte // drawn by the caller
	Partitions  int32
	Replication int16
	Configs     map[string]string
}

// Mechanism is a SCRAM mechanism by its number in KIP-554.
type Mechanism int8

const (
	ScramSHA256 Mechanism = 1
	ScramSHA512 Mechanism = 2
)

// Name is the mechanism's SASL name.
func (m Mechanism) Name() string {
	if m == ScramSHA512 {
		return "SCRAM-SHA-512"
	}
	return "SCRAM-SHA-256"
}

// Verifier is what is kept of a password: salted, and not enough to sign in with.
type Verifier struct {
	Iterations int32
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// User is one user. It never changes: a change makes a new value.
type User struct {
	Name      string
	Verifiers map[Mechanism]Verifier
	Superuser bool // the first one, made with the instance
}

// UserChange sets or removes one mechanism of a user; Set nil removes.
type UserChange struct {
	Name      string
	Mechanism Mechanism
	Set       *Verifier
}

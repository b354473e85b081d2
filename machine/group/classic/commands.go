package classic

import "time"

// Join asks to become or to stay a member.
type Join struct {
	Member           string // empty: a new one
	Instance         *string
	ClientID, Host   string
	ProtocolType     string
	Protocols        []Protocol // in order of the member's preference
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	NeedsMemberID    bool // v4 and later: a new dynamic member is told its id first (79)
	SkipsAssignment  bool // v9 and later may tell a static leader to leave the assignment alone
	Reason           string
}

// Protocol is an assignor that a member knows, with what it tells about itself.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Joined answers a Join.
type Joined struct {
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	Member         string
	SkipAssignment bool
	Members        []JoinedMember // for the leader only
}

// JoinedMember is what the leader learns of a member.
type JoinedMember struct {
	Member   string
	Instance *string
	Metadata []byte
}

// Sync asks for the member's assignment; the leader's brings everybody's.
type Sync struct {
	Member       string
	Instance     *string
	Generation   int32
	ProtocolType *string // nil where the version has none
	Protocol     *string
	Assignments  map[string][]byte // by member
}

// Synced answers a Sync.
type Synced struct {
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Heartbeat says that a member is alive.
type Heartbeat struct {
	Member     string
	Instance   *string
	Generation int32
}

// Leaver is one member of a Leave.
type Leaver struct {
	Member   string
	Instance *string
	Reason   string
}

// Commit stores offsets. A simple consumer has no member and generation -1.
type Commit struct {
	Member     string
	Instance   *string
	Generation int32
	Offsets    []Offset
}

// Offset is a committed offset of one partition.
type Offset struct {
	Topic       string
	TopicID     [16]byte
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // -1: not told
	Metadata    string
	CommitTime  time.Time
	Expires     time.Time // zero: by offsets.retention.minutes
}

// Description is a group as DescribeGroups shows it.
type Description struct {
	Group        string
	State        State
	ProtocolType string
	Protocol     string
	Generation   int32
	Members      []DescribedMember
}

// DescribedMember is one member of a Description.
type DescribedMember struct {
	Member     string
	Instance   *string
	ClientID   string
	Host       string
	Metadata   []byte
	Assignment []byte
}

// State of a group, by Kafka's names.
type State string

const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	Dead                State = "Dead"
)

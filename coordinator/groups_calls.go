package coordinator

import (
	"context"

	"milena/machine/group/classic"
)

// GroupService is what the API asks of groups. Errors are kerr values, wrapped;
// a call returns once all that its answer rests on is durable.
type GroupService interface {
	// Join waits until the rebalance that it takes part in is through.
	Join(ctx context.Context, group string, join classic.Join) (classic.Joined, error)
	// Sync waits until the leader has brought the assignment.
	Sync(ctx context.Context, group string, sync classic.Sync) (classic.Synced, error)
	Heartbeat(ctx context.Context, group string, beat classic.Heartbeat) error
	// Leave answers per member; the second error is the group's.
	Leave(ctx context.Context, group string, leavers []classic.Leaver) ([]error, error)
	// Commit stores all of the offsets or none.
	Commit(ctx context.Context, group string, commit classic.Commit) error
	// Offsets gives what is committed; nil partitions asks for all. Who commits
	// nothing has no entry.
	Offsets(ctx context.Context, group string, of []TopicPartition) ([]classic.Offset, error)
	Describe(ctx context.Context, group string) (classic.Description, error) // a group that is not there is Dead
	List(ctx context.Context) ([]Listing, error)
	Delete(ctx context.Context, group string) error
	DeleteOffsets(ctx context.Context, group string, of []TopicPartition) ([]error, error)
}

// TopicPartition names a partition by its topic's name.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Listing is one group in a list.
type Listing struct {
	Group        string
	ProtocolType string
	State        classic.State
	Type         string // "classic"
}

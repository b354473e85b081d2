package coordinator

import (
	"context"

	"milena/machine/cluster"
)

// ClusterService is what the API and the listeners ask of the cluster: topics,
// users, producer ids. What it tells is durable. Errors are kerr values, wrapped.
type ClusterService interface {
	ClusterID() string
	NodeID() int32

	Topic(name string) (*cluster.Topic, bool)
	TopicByID(id [16]byte) (*cluster.Topic, bool)
	Topics() []*cluster.Topic // sorted by name; the caller's
	// CreateTopics makes each that it can, all in one entry; one error each.
	// With validateOnly it only says what it would do. The topics are usable
	// when it returns.
	CreateTopics(ctx context.Context, topics []cluster.NewTopic, validateOnly bool) ([]*cluster.Topic, []error)
	DeleteTopic(ctx context.Context, id [16]byte) error

	User(name string) (*cluster.User, bool)
	Users() []*cluster.User
	// AlterUsers changes what it can, all in one entry; one error each.
	AlterUsers(ctx context.Context, changes []cluster.UserChange) []error
	IsSuperuser(user string) bool

	// ProducerID gives an id that no producer ever had.
	ProducerID(ctx context.Context) (int64, error)
}

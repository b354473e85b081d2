package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
	"milena/machine/cluster"
	"milena/shard"
	"milena/shard/fact"
)

// errTaken: another broker wrote in between, so the decision is taken anew.
var errTaken = errors.New("decide again")

// Anonymous is who speaks on a listener without SASL.
const Anonymous = "ANONYMOUS"

// ClusterOptions is what a Cluster needs to know.
type ClusterOptions struct {
	ID         string
	NodeID     int32
	Superusers []string // super.users, without "User:"
	Now        func() time.Time
	// Drop removes a deleted topic's data and offsets. It may be called again
	// for the same topic.
	Drop func(ctx context.Context, topic *cluster.Topic) error
	Log  *slog.Logger
}

// Cluster runs the cluster log: one entry under way, decided against what is
// durable. It is a ClusterService.
type Cluster struct {
	o    ClusterOptions
	log  *shard.Log
	turn chan struct{} // who holds it decides

	view  sync.RWMutex // guards what readers see; a leaf below the log's lock
	state *cluster.Cluster
	names []*cluster.Topic // sorted; nil when it must be made anew

	ids struct {
		sync.Mutex
		next, end int64 // producer ids of the block that is ours
	}

	dropping sync.WaitGroup
	stop     context.CancelFunc
	life     context.Context
}

// NewCluster makes an empty cluster; its State goes into the set of logs, and
// Attach brings the log.
func NewCluster(o ClusterOptions) *Cluster {
	c := &Cluster{o: o, turn: make(chan struct{}, 1), state: cluster.New()}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// Attach gives the cluster its log, before the first call.
func (c *Cluster) Attach(log *shard.Log) { c.log = log }

// Start takes up what is open: deleted topics whose data is not gone yet.
func (c *Cluster) Start() {
	c.view.RLock()
	open := c.state.Dropping()
	c.view.RUnlock()
	for _, topic := range open {
		c.drop(topic)
	}
}

// Close waits for what is under way.
func (c *Cluster) Close() {
	c.stop()
	c.dropping.Wait()
}

// change decides, appends, and waits until the entry is durable. decide gives
// the facts; none: the answer rests on what is durable already.
func (c *Cluster) change(ctx context.Context, decide func(*cluster.Cluster) []machine.Fact) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		entry := c.queue(decide)
		if entry == nil {
			return nil
		}
		switch err := <-entry.answered; {
		case err == nil:
			return nil
		case !errors.Is(err, errTaken):
			return fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
		}
	}
}

// queue decides, and appends what was; nil if there is nothing to. A decision
// that panics leaves no lock behind.
func (c *Cluster) queue(decide func(*cluster.Cluster) []machine.Fact) *clusterEntry {
	c.log.Lock()
	defer c.log.Unlock()
	facts := decide(c.state)
	if len(facts) == 0 {
		return nil
	}
	entry := &clusterEntry{cluster: c, facts: facts, answered: make(chan error, 1)}
	c.log.Append([][]byte{fact.AppendCluster(nil, facts)}, entry)
	return entry
}

// clusterEntry is the one entry under way.
type clusterEntry struct {
	cluster  *Cluster
	facts    []machine.Fact
	answered chan error
}

func (e *clusterEntry) Apply(uint64) { e.cluster.apply(e.facts) }

// Again is a no from here: whoever waits decides anew, in its turn.
func (e *clusterEntry) Again() { e.answered <- errTaken }

func (e *clusterEntry) Answer(err error) { e.answered <- err }

func (c *Cluster) apply(facts []machine.Fact) {
	c.view.Lock()
	defer c.view.Unlock()
	for _, f := range facts {
		c.state.Apply(f)
	}
	c.names = nil
}

// CreateTopics is part of ClusterService.
func (c *Cluster) CreateTopics(ctx context.Context, wanted []cluster.NewTopic, validateOnly bool) ([]*cluster.Topic, []error) {
	topics := make([]*cluster.Topic, len(wanted))
	var errs []error
	err := c.change(ctx, func(state *cluster.Cluster) []machine.Fact {
		var facts []machine.Fact
		facts, errs = state.CreateTopics(c.o.Now(), wanted)
		n := 0
		for i := range wanted {
			if errs[i] == nil {
				made := facts[n].(cluster.TopicCreated).Topic
				topics[i] = &made
				n++
			}
		}
		if validateOnly {
			return nil
		}
		return facts
	})
	if err != nil {
		return topics, slices.Repeat([]error{err}, len(wanted))
	}
	return topics, errs
}

// DeleteTopic is part of ClusterService. The topic is gone for everybody when
// it returns; its data goes in the background.
func (c *Cluster) DeleteTopic(ctx context.Context, id [16]byte) error {
	topic, _ := c.TopicByID(id)
	var refused error
	err := c.change(ctx, func(state *cluster.Cluster) (facts []machine.Fact) {
		facts, refused = state.DeleteTopic(id)
		return facts
	})
	if err = errors.Join(err, refused); err != nil {
		return err
	}
	c.drop(topic)
	return nil
}

// drop keeps the promise of a TopicDeleted: the data goes, then the log says so.
func (c *Cluster) drop(topic *cluster.Topic) {
	c.dropping.Go(func() {
		if err := c.o.Drop(c.life, topic); err != nil {
			if c.life.Err() == nil {
				c.o.Log.Error("deleted topic's data is not removed yet; the next start tries again", "topic", topic.Name, "err", err)
			}
			return
		}
		err := c.change(c.life, func(state *cluster.Cluster) []machine.Fact { return state.DropDone(topic.ID) })
		if err != nil && c.life.Err() == nil {
			c.o.Log.Error("could not note that a deleted topic's data is gone", "topic", topic.Name, "err", err)
		}
	})
}

// Repair records what makes up for entries that were given up: of this log
// (lost; found are topics that their data names), or of the logs of some topics.
func (c *Cluster) Repair(ctx context.Context, lost bool, found []cluster.NewTopic, hit [][16]byte) error {
	return c.change(ctx, func(state *cluster.Cluster) []machine.Fact {
		if lost {
			return state.Lost(c.o.Now(), found)
		}
		return state.RaiseEpochs(hit)
	})
}

// Knows says that an id is a topic's, or a deleted one's whose data is still to
// be dropped.
func (c *Cluster) Knows(id [16]byte) bool {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.Knows(id)
}

// AlterUsers is part of ClusterService.
func (c *Cluster) AlterUsers(ctx context.Context, changes []cluster.UserChange) []error {
	var errs []error
	err := c.change(ctx, func(state *cluster.Cluster) (facts []machine.Fact) {
		facts, errs = state.AlterUsers(changes)
		return facts
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(changes))
	}
	return errs
}

// MakeSuperuser makes the first superuser, and says whether it did: there is
// never a second.
func (c *Cluster) MakeSuperuser(ctx context.Context, name string, verifiers map[cluster.Mechanism]cluster.Verifier) (made bool, err error) {
	err = c.change(ctx, func(state *cluster.Cluster) []machine.Fact {
		facts := state.MakeSuperuser(name, verifiers)
		made = len(facts) > 0
		return facts
	})
	return made, err
}

// ProducerID is part of ClusterService. Ids come from a block that is given to
// this broker in one entry; what is left of it at a restart is never used.
func (c *Cluster) ProducerID(ctx context.Context) (int64, error) {
	for {
		c.ids.Lock()
		if c.ids.next < c.ids.end {
			id := c.ids.next
			c.ids.next++
			c.ids.Unlock()
			return id, nil
		}
		c.ids.Unlock()
		if err := c.takeBlock(ctx); err != nil {
			return 0, err
		}
	}
}

func (c *Cluster) takeBlock(ctx context.Context) error {
	var first, count int64
	err := c.change(ctx, func(state *cluster.Cluster) (facts []machine.Fact) {
		c.ids.Lock()
		defer c.ids.Unlock()
		if c.ids.next < c.ids.end { // somebody else took one meanwhile
			count = 0
			return nil
		}
		first, count, facts = state.GiveProducers()
		return facts
	})
	if err != nil || count == 0 {
		return err
	}
	c.ids.Lock()
	c.ids.next, c.ids.end = first, first+count
	c.ids.Unlock()
	return nil
}

// ClusterID is part of ClusterService.
func (c *Cluster) ClusterID() string { return c.o.ID }

// NodeID is part of ClusterService.
func (c *Cluster) NodeID() int32 { return c.o.NodeID }

// Topic is part of ClusterService.
func (c *Cluster) Topic(name string) (*cluster.Topic, bool) {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.Topic(name)
}

// TopicByID is part of ClusterService.
func (c *Cluster) TopicByID(id [16]byte) (*cluster.Topic, bool) {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.TopicByID(id)
}

// Topics is part of ClusterService.
func (c *Cluster) Topics() []*cluster.Topic {
	c.view.Lock()
	defer c.view.Unlock()
	if c.names == nil {
		c.names = c.state.Topics()
	}
	return slices.Clone(c.names)
}

// User is part of ClusterService.
func (c *Cluster) User(name string) (*cluster.User, bool) {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.User(name)
}

// Users is part of ClusterService.
func (c *Cluster) Users() []*cluster.User {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.Users()
}

// HasSuperuser says that the first superuser was made.
func (c *Cluster) HasSuperuser() bool {
	c.view.RLock()
	defer c.view.RUnlock()
	return c.state.HasSuperuser()
}

// IsSuperuser is part of ClusterService. While there is no superuser, whoever
// reaches the loopback listener without a name is one.
func (c *Cluster) IsSuperuser(name string) bool {
	if slices.Contains(c.o.Superusers, name) {
		return true
	}
	if name == Anonymous {
		return !c.HasSuperuser() && len(c.o.Superusers) == 0
	}
	user, ok := c.User(name)
	return ok && user.Superuser
}

// Superusers reads super.users: names behind "User:", separated by semicolons.
func Superusers(list string) ([]string, error) {
	var names []string
	for _, principal := range strings.Split(list, ";") {
		principal = strings.TrimSpace(principal)
		if principal == "" {
			continue
		}
		name, ok := strings.CutPrefix(principal, "User:")
		if !ok || name == "" {
			return nil, fmt.Errorf("super.users: %q is not User:NAME", principal)
		}
		names = append(names, name)
	}
	return names, nil
}

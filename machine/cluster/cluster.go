package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

// Limits of what is remembered.
const (
	producerBlock = 1000    // producer ids given to a broker in one fact
	goneMax       = 100_000 // names of deleted topics whose epoch is remembered one by one
)

// Facts. Each is applied by Apply and by nothing else.
type (
	// TopicCreated: the topic is there and can be used.
	TopicCreated struct{ Topic Topic }
	// TopicDeleted: nobody sees it any more; its data is still to be dropped.
	TopicDeleted struct{ ID [16]byte }
	// TopicDropped: its data is gone everywhere, and the promise is kept.
	TopicDropped struct{ ID [16]byte }
	// VerifierSet: the user may sign in by this mechanism.
	VerifierSet struct {
		User      string
		Mechanism Mechanism
		Verifier  Verifier
		Superuser bool
	}
	// VerifierRemoved: no more by this one. A user without any is gone.
	VerifierRemoved struct {
		User      string
		Mechanism Mechanism
	}
	// ProducersGiven: producer ids below Next are spoken for.
	ProducersGiven struct{ Next int64 }
	// EpochRaised: offsets of the topic that were once shown may be gone.
	EpochRaised struct {
		ID    [16]byte
		Epoch int32
	}
	// FloorRaised: names that are created from now on begin at this epoch or above.
	FloorRaised struct{ Epoch int32 }
)

// Cluster is the machine.
type Cluster struct {
	topics   map[string]*Topic
	byID     map[[16]byte]*Topic
	families map[string]int      // topics by name with its dots read as underscores
	dropping map[[16]byte]*Topic // deleted, not dropped everywhere yet
	gone     map[string]int32    // last epoch of names that are deleted
	floor    int32               // epoch at which names not in gone begin
	users    map[string]*User
	next     int64 // producer id
}

// New makes an empty cluster.
func New() *Cluster {
	return &Cluster{
		topics:   make(map[string]*Topic),
		byID:     make(map[[16]byte]*Topic),
		families: make(map[string]int),
		dropping: make(map[[16]byte]*Topic),
		gone:     make(map[string]int32),
		users:    make(map[string]*User),
	}
}

// CreateTopics decides which of the topics can be made; one error each. Names
// and configurations are checked by who asks, collisions here.
func (c *Cluster) CreateTopics(now time.Time, wanted []NewTopic) ([]machine.Fact, []error) {
	errs := make([]error, len(wanted))
	var facts []machine.Fact
	made := make(map[string]string) // family → name, of this request
	for i, w := range wanted {
		family := familyOf(w.Name)
		other, taken := made[family]
		if !taken {
			other, taken = c.inFamily(w.Name)
		}
		switch {
		case taken && other == w.Name:
			errs[i] = fmt.Errorf("%w: Topic '%s' already exists.", kerr.TopicAlreadyExists, w.Name)
		case taken:
			errs[i] = fmt.Errorf("%w: Topic '%s' collides with existing topic: %s", kerr.InvalidTopicException, w.Name, other)
		default:
			made[family] = w.Name
			facts = append(facts, TopicCreated{Topic{
				Name:        w.Name,
				ID:          w.ID,
				Partitions:  w.Partitions,
				Replication: w.Replication,
				Configs:     maps.Clone(w.Configs),
				Epoch:       c.firstEpoch(w.Name),
				Created:     now,
			}})
		}
	}
	return facts, errs
}

// inFamily finds a topic that the name would collide with, itself first.
func (c *Cluster) inFamily(name string) (string, bool) {
	if _, ok := c.topics[name]; ok {
		return name, true
	}
	family := familyOf(name)
	if c.families[family] == 0 {
		return "", false
	}
	for other := range c.topics {
		if familyOf(other) == family {
			return other, true
		}
	}
	return "", false
}

// familyOf is what metric names make of a topic's name: there a dot and an
// underscore look alike, so Kafka lets only one of them exist.
func familyOf(name string) string { return strings.ReplaceAll(name, ".", "_") }

// firstEpoch is the leader epoch of a name that is created: above its last, for
// clients that knew it must see that this is another log.
func (c *Cluster) firstEpoch(name string) int32 {
	if last, ok := c.gone[name]; ok {
		return last + 1
	}
	return c.floor
}

// DeleteTopic decides that a topic goes.
func (c *Cluster) DeleteTopic(id [16]byte) ([]machine.Fact, error) {
	if _, ok := c.byID[id]; !ok {
		return nil, kerr.UnknownTopicID
	}
	return []machine.Fact{TopicDeleted{id}}, nil
}

// AlterUsers decides changes of users; one error each.
func (c *Cluster) AlterUsers(changes []UserChange) ([]machine.Fact, []error) {
	errs := make([]error, len(changes))
	var facts []machine.Fact
	for i, change := range changes {
		user := c.users[change.Name]
		switch {
		case change.Set != nil:
			facts = append(facts, VerifierSet{User: change.Name, Mechanism: change.Mechanism, Verifier: *change.Set})
		case user == nil || !user.has(change.Mechanism):
			errs[i] = fmt.Errorf("%w: Attempt to delete a user credential that does not exist", kerr.ResourceNotFound)
		case user.Superuser:
			errs[i] = fmt.Errorf("%w: %s is the instance's first superuser and can't be deleted; its password can be changed", kerr.InvalidRequest, user.Name)
		default:
			facts = append(facts, VerifierRemoved{User: change.Name, Mechanism: change.Mechanism})
		}
	}
	return facts, errs
}

// MakeSuperuser decides the first superuser; nothing if there is one.
func (c *Cluster) MakeSuperuser(name string, verifiers map[Mechanism]Verifier) []machine.Fact {
	if c.HasSuperuser() {
		return nil
	}
	var facts []machine.Fact
	for _, m := range slices.Sorted(maps.Keys(verifiers)) {
		facts = append(facts, VerifierSet{User: name, Mechanism: m, Verifier: verifiers[m], Superuser: true})
	}
	return facts
}

// GiveProducers decides a block of producer ids and gives its first.
func (c *Cluster) GiveProducers() (first, count int64, facts []machine.Fact) {
	return c.next, producerBlock, []machine.Fact{ProducersGiven{c.next + producerBlock}}
}

// DropDone decides that a deleted topic's data is gone everywhere.
func (c *Cluster) DropDone(id [16]byte) []machine.Fact {
	if _, open := c.dropping[id]; !open {
		return nil
	}
	return []machine.Fact{TopicDropped{id}}
}

// Apply remembers a fact.
func (c *Cluster) Apply(fact machine.Fact) {
	switch f := fact.(type) {
	case TopicCreated:
		topic := f.Topic
		c.topics[topic.Name], c.byID[topic.ID] = &topic, &topic
		c.families[familyOf(topic.Name)]++
		delete(c.gone, topic.Name)
	case TopicDeleted:
		c.forgetTopic(f.ID)
	case TopicDropped:
		delete(c.dropping, f.ID)
	case VerifierSet:
		c.users[f.User] = c.userOf(f.User).with(f)
	case VerifierRemoved:
		if left := c.userOf(f.User).without(f.Mechanism); len(left.Verifiers) > 0 {
			c.users[f.User] = left
		} else {
			delete(c.users, f.User)
		}
	case ProducersGiven:
		c.next = f.Next
	case EpochRaised:
		c.raise(f)
	case FloorRaised:
		c.floor = max(c.floor, f.Epoch)
		for name, last := range c.gone {
			c.gone[name] = max(last, f.Epoch-1)
		}
	default:
		panic(fmt.Sprintf("cluster: no such fact: %T", fact))
	}
}

func (c *Cluster) forgetTopic(id [16]byte) {
	topic, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.topics, topic.Name)
	delete(c.byID, id)
	if family := familyOf(topic.Name); c.families[family] > 1 {
		c.families[family]--
	} else {
		delete(c.families, family)
	}
	c.dropping[id] = topic
	if len(c.gone) >= goneMax {
		for _, last := range c.gone {
			c.floor = max(c.floor, last+1)
		}
		clear(c.gone)
	}
	c.gone[topic.Name] = topic.Epoch
}

// Topic finds a topic by name.
func (c *Cluster) Topic(name string) (*Topic, bool) { t, ok := c.topics[name]; return t, ok }

// TopicByID finds a topic by id.
func (c *Cluster) TopicByID(id [16]byte) (*Topic, bool) { t, ok := c.byID[id]; return t, ok }

// Topics gives all topics, sorted by name.
func (c *Cluster) Topics() []*Topic {
	topics := make([]*Topic, 0, len(c.topics))
	for _, t := range c.topics {
		topics = append(topics, t)
	}
	slices.SortFunc(topics, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	return topics
}

// Dropping gives the topics that are deleted and not dropped everywhere.
func (c *Cluster) Dropping() []*Topic {
	topics := make([]*Topic, 0, len(c.dropping))
	for _, t := range c.dropping {
		topics = append(topics, t)
	}
	return topics
}

// User finds a user.
func (c *Cluster) User(name string) (*User, bool) { u, ok := c.users[name]; return u, ok }

// Users gives all users, sorted by name.
func (c *Cluster) Users() []*User {
	users := make([]*User, 0, len(c.users))
	for _, u := range c.users {
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b *User) int { return strings.Compare(a.Name, b.Name) })
	return users
}

// HasSuperuser says that a first superuser was made.
func (c *Cluster) HasSuperuser() bool {
	for _, u := range c.users {
		if u.Superuser {
			return true
		}
	}
	return false
}

func (c *Cluster) userOf(name string) *User {
	if u, ok := c.users[name]; ok {
		return u
	}
	return &User{Name: name}
}

func (u *User) has(m Mechanism) bool { _, ok := u.Verifiers[m]; return ok }

func (u *User) with(f VerifierSet) *User {
	verifiers := maps.Clone(u.Verifiers)
	if verifiers == nil {
		verifiers = make(map[Mechanism]Verifier)
	}
	verifiers[f.Mechanism] = f.Verifier
	return &User{Name: u.Name, Verifiers: verifiers, Superuser: u.Superuser || f.Superuser}
}

func (u *User) without(m Mechanism) *User {
	verifiers := maps.Clone(u.Verifiers)
	delete(verifiers, m)
	return &User{Name: u.Name, Verifiers: verifiers, Superuser: u.Superuser}
}

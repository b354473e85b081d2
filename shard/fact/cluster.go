package fact

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"

	"milena/machine"
	"milena/machine/cluster"
)

// Kinds of the cluster log.
const (
	kindTopicCreated    = 0x0101
	kindTopicDeleted    = 0x0102
	kindTopicDropped    = 0x0103
	kindVerifierSet     = 0x0104
	kindVerifierRemoved = 0x0105
	kindProducersGiven  = 0x0106
	kindEpochRaised     = 0x0107
	kindFloorRaised     = 0x0108
)

const clusterSnapshotVersion = 1

// AppendCluster writes facts of the cluster behind dst.
func AppendCluster(dst []byte, facts []machine.Fact) []byte {
	for _, f := range facts {
		dst = appendClusterFact(dst, f)
	}
	return dst
}

func appendClusterFact(dst []byte, f machine.Fact) []byte {
	switch f := f.(type) {
	case cluster.TopicCreated:
		return appendFact(dst, kindTopicCreated, 1, func(b []byte) []byte { return appendTopic(b, &f.Topic) })
	case cluster.TopicDeleted:
		return appendFact(dst, kindTopicDeleted, 1, func(b []byte) []byte { return append(b, f.ID[:]...) })
	case cluster.TopicDropped:
		return appendFact(dst, kindTopicDropped, 1, func(b []byte) []byte { return append(b, f.ID[:]...) })
	case cluster.VerifierSet:
		return appendFact(dst, kindVerifierSet, 1, func(b []byte) []byte {
			b = appendBool(appendString(b, f.User), f.Superuser)
			return appendVerifier(b, f.Mechanism, f.Verifier)
		})
	case cluster.VerifierRemoved:
		return appendFact(dst, kindVerifierRemoved, 1, func(b []byte) []byte {
			return appendInt(appendString(b, f.User), f.Mechanism)
		})
	case cluster.ProducersGiven:
		return appendFact(dst, kindProducersGiven, 1, func(b []byte) []byte { return appendInt(b, f.Next) })
	case cluster.EpochRaised:
		return appendFact(dst, kindEpochRaised, 1, func(b []byte) []byte { return appendInt(append(b, f.ID[:]...), f.Epoch) })
	case cluster.FloorRaised:
		return appendFact(dst, kindFloorRaised, 1, func(b []byte) []byte { return appendInt(b, f.Epoch) })
	default:
		panic(fmt.Sprintf("fact: the cluster has no %T", f))
	}
}

// Cluster reads the facts of an entry of the cluster log.
func Cluster(body []byte) iter.Seq2[machine.Fact, error] {
	return func(yield func(machine.Fact, error) bool) {
		for raw, err := range facts(body) {
			var f machine.Fact
			if err == nil {
				f, err = clusterFact(raw)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func clusterFact(raw rawFact) (f machine.Fact, err error) {
	if raw.version != 1 {
		return nil, raw.unknown()
	}
	r := &raw.fields
	switch raw.kind {
	case kindTopicCreated:
		f = cluster.TopicCreated{Topic: readTopic(r)}
	case kindTopicDeleted:
		f = cluster.TopicDeleted{ID: r.id()}
	case kindTopicDropped:
		f = cluster.TopicDropped{ID: r.id()}
	case kindVerifierSet:
		set := cluster.VerifierSet{User: r.string(), Superuser: r.bool()}
		set.Mechanism, set.Verifier = readVerifier(r)
		f = set
	case kindVerifierRemoved:
		f = cluster.VerifierRemoved{User: r.string(), Mechanism: cluster.Mechanism(r.int())}
	case kindProducersGiven:
		f = cluster.ProducersGiven{Next: r.int()}
	case kindEpochRaised:
		f = cluster.EpochRaised{ID: r.id(), Epoch: int32(r.int())}
	case kindFloorRaised:
		f = cluster.FloorRaised{Epoch: int32(r.int())}
	default:
		return nil, raw.unknown()
	}
	return f, raw.end()
}

// SaveCluster writes the cluster's snapshot: version byte, topics, dropping
// topics, epochs of deleted names, floor, users, next producer id.
func SaveCluster(s cluster.Snapshot) []byte {
	b := []byte{clusterSnapshotVersion}
	b = appendTopics(b, s.Topics)
	b = appendTopics(b, s.Dropping)
	b = binary.AppendUvarint(b, uint64(len(s.Gone)))
	for _, name := range slices.Sorted(maps.Keys(s.Gone)) {
		b = appendInt(appendString(b, name), s.Gone[name])
	}
	b = appendInt(b, s.Floor)
	b = binary.AppendUvarint(b, uint64(len(s.Users)))
	for _, u := range s.Users {
		b = appendBool(appendString(b, u.Name), u.Superuser)
		b = binary.AppendUvarint(b, uint64(len(u.Verifiers)))
		for _, m := range slices.Sorted(maps.Keys(u.Verifiers)) {
			b = appendVerifier(b, m, u.Verifiers[m])
		}
	}
	return appendInt(b, s.Next)
}

// LoadCluster reads what SaveCluster wrote.
func LoadCluster(body []byte) (cluster.Snapshot, error) {
	r := &reader{left: body}
	if v := r.byte(); r.err == nil && v != clusterSnapshotVersion {
		return cluster.Snapshot{}, fmt.Errorf("%w: cluster snapshot version %d", ErrUnknown, v)
	}
	s := cluster.Snapshot{Topics: readTopics(r), Dropping: readTopics(r), Gone: make(map[string]int32)}
	for n := r.count(); n > 0; n-- {
		name := r.string()
		s.Gone[name] = int32(r.int())
	}
	s.Floor = int32(r.int())
	for n := r.count(); n > 0; n-- {
		u := &cluster.User{Name: r.string(), Superuser: r.bool(), Verifiers: make(map[cluster.Mechanism]cluster.Verifier)}
		for n := r.count(); n > 0; n-- {
			m, v := readVerifier(r)
			u.Verifiers[m] = v
		}
		s.Users = append(s.Users, u)
	}
	s.Next = r.int()
	return s, r.end()
}

func appendTopics(b []byte, topics []*cluster.Topic) []byte {
	b = binary.AppendUvarint(b, uint64(len(topics)))
	for _, t := range topics {
		b = appendTopic(b, t)
	}
	return b
}

func readTopics(r *reader) []*cluster.Topic {
	var topics []*cluster.Topic
	for n := r.count(); n > 0; n-- {
		t := readTopic(r)
		topics = append(topics, &t)
	}
	return topics
}

func appendTopic(b []byte, t *cluster.Topic) []byte {
	b = append(appendString(b, t.Name), t.ID[:]...)
	b = appendInt(appendInt(appendInt(b, t.Partitions), t.Replication), t.Epoch)
	b = appendTime(b, t.Created)
	b = binary.AppendUvarint(b, uint64(len(t.Configs)))
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		b = appendString(appendString(b, key), t.Configs[key])
	}
	return b
}

func readTopic(r *reader) cluster.Topic {
	t := cluster.Topic{
		Name:        r.string(),
		ID:          r.id(),
		Partitions:  int32(r.int()),
		Replication: int16(r.int()),
		Epoch:       int32(r.int()),
		Created:     r.time(),
	}
	if n := r.count(); n > 0 {
		t.Configs = make(map[string]string, n)
		for ; n > 0; n-- {
			key := r.string()
			t.Configs[key] = r.string()
		}
	}
	return t
}

func appendVerifier(b []byte, m cluster.Mechanism, v cluster.Verifier) []byte {
	b = appendInt(appendInt(b, m), v.Iterations)
	return appendBytes(appendBytes(appendBytes(b, v.Salt), v.StoredKey), v.ServerKey)
}

func readVerifier(r *reader) (cluster.Mechanism, cluster.Verifier) {
	m := cluster.Mechanism(r.int())
	v := cluster.Verifier{Iterations: int32(r.int())}
	v.Salt = slices.Clone(r.bytes())
	v.StoredKey = slices.Clone(r.bytes())
	v.ServerKey = slices.Clone(r.bytes())
	return m, v
}

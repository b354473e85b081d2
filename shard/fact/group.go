package fact

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"milena/machine"
	"milena/machine/group/classic"
)

// Kinds of the coordinator logs.
const (
	kindGeneration  = 0x0301
	kindAssigned    = 0x0302
	kindReplaced    = 0x0303
	kindCommitted   = 0x0304
	kindUncommitted = 0x0305
	kindGroupGone   = 0x0306
)

const groupsSnapshotVersion = 1

// AppendGroup writes facts of groups behind dst.
func AppendGroup(dst []byte, facts []machine.Fact) []byte {
	for _, f := range facts {
		dst = appendGroupFact(dst, f)
	}
	return dst
}

func appendGroupFact(dst []byte, f machine.Fact) []byte {
	switch f := f.(type) {
	case classic.Generation:
		return appendFact(dst, kindGeneration, 1, func(b []byte) []byte {
			b = appendInt(appendString(b, f.Group), f.Number)
			b = appendString(appendString(appendString(b, f.ProtocolType), f.Protocol), f.Leader)
			b = binary.AppendUvarint(b, uint64(len(f.Members)))
			for i := range f.Members {
				b = appendMember(b, &f.Members[i])
			}
			return b
		})
	case classic.Assigned:
		return appendFact(dst, kindAssigned, 1, func(b []byte) []byte {
			b = binary.AppendUvarint(appendString(b, f.Group), uint64(len(f.Assignments)))
			for _, id := range slices.Sorted(maps.Keys(f.Assignments)) {
				b = appendBytes(appendString(b, id), f.Assignments[id])
			}
			return b
		})
	case classic.Replaced:
		return appendFact(dst, kindReplaced, 1, func(b []byte) []byte {
			return appendMember(appendString(appendString(b, f.Group), f.Old), &f.New)
		})
	case classic.Committed:
		return appendFact(dst, kindCommitted, 1, func(b []byte) []byte {
			b = binary.AppendUvarint(appendString(b, f.Group), uint64(len(f.Offsets)))
			for i := range f.Offsets {
				b = appendOffset(b, &f.Offsets[i])
			}
			return b
		})
	case classic.Uncommitted:
		return appendFact(dst, kindUncommitted, 1, func(b []byte) []byte {
			b = binary.AppendUvarint(appendString(b, f.Group), uint64(len(f.Of)))
			for _, p := range f.Of {
				b = appendInt(appendString(b, p.Topic), p.Partition)
			}
			return b
		})
	case classic.Gone:
		return appendFact(dst, kindGroupGone, 1, func(b []byte) []byte { return appendString(b, f.Group) })
	default:
		panic(fmt.Sprintf("fact: groups have no %T", f))
	}
}

// Groups reads the facts of an entry of a coordinator log, with the group that
// each is about.
func Groups(body []byte) iter.Seq2[GroupFact, error] {
	return func(yield func(GroupFact, error) bool) {
		for raw, err := range facts(body) {
			var f GroupFact
			if err == nil {
				f, err = groupFact(raw)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// GroupFact is a fact and the group that it is about.
type GroupFact struct {
	Group string
	Fact  machine.Fact
}

func groupFact(raw rawFact) (GroupFact, error) {
	if raw.version != 1 {
		return GroupFact{}, raw.unknown()
	}
	r := &raw.fields
	group := r.string()
	var f machine.Fact
	switch raw.kind {
	case kindGeneration:
		g := classic.Generation{Group: group, Number: int32(r.int()), ProtocolType: r.string(), Protocol: r.string(), Leader: r.string()}
		for n := r.count(); n > 0 && r.err == nil; n-- {
			g.Members = append(g.Members, readMember(r))
		}
		f = g
	case kindAssigned:
		n := r.count()
		a := classic.Assigned{Group: group, Assignments: make(map[string][]byte, n)}
		for ; n > 0 && r.err == nil; n-- {
			id := r.string()
			a.Assignments[id] = slices.Clone(r.bytes())
		}
		f = a
	case kindReplaced:
		f = classic.Replaced{Group: group, Old: r.string(), New: readMember(r)}
	case kindCommitted:
		c := classic.Committed{Group: group}
		for n := r.count(); n > 0 && r.err == nil; n-- {
			c.Offsets = append(c.Offsets, readOffset(r))
		}
		f = c
	case kindUncommitted:
		u := classic.Uncommitted{Group: group}
		for n := r.count(); n > 0 && r.err == nil; n-- {
			u.Of = append(u.Of, classic.Partition{Topic: r.string(), Partition: int32(r.int())})
		}
		f = u
	case kindGroupGone:
		f = classic.Gone{Group: group}
	default:
		return GroupFact{}, raw.unknown()
	}
	return GroupFact{group, f}, raw.end()
}

// SaveGroups writes a coordinator log's snapshot: facts that add up to it.
func SaveGroups(facts []machine.Fact) []byte {
	return AppendGroup([]byte{groupsSnapshotVersion}, facts)
}

// LoadGroups reads what SaveGroups wrote.
func LoadGroups(body []byte) (iter.Seq2[GroupFact, error], error) {
	if len(body) == 0 {
		return nil, ErrShort
	}
	if body[0] != groupsSnapshotVersion {
		return nil, fmt.Errorf("%w: groups snapshot version %d", ErrUnknown, body[0])
	}
	return Groups(body[1:]), nil
}

func appendMember(b []byte, m *classic.Member) []byte {
	b = appendOptional(appendString(b, m.ID), m.Instance)
	b = appendString(appendString(b, m.ClientID), m.Host)
	b = appendInt(appendInt(b, m.SessionTimeout/time.Millisecond), m.RebalanceTimeout/time.Millisecond)
	b = binary.AppendUvarint(b, uint64(len(m.Protocols)))
	for _, p := range m.Protocols {
		b = appendBytes(appendString(b, p.Name), p.Metadata)
	}
	return appendBytes(b, m.Assignment)
}

func readMember(r *reader) classic.Member {
	m := classic.Member{
		ID: r.string(), Instance: r.optional(), ClientID: r.string(), Host: r.string(),
		SessionTimeout: time.Duration(r.int()) * time.Millisecond, RebalanceTimeout: time.Duration(r.int()) * time.Millisecond,
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		m.Protocols = append(m.Protocols, classic.Protocol{Name: r.string(), Metadata: slices.Clone(r.bytes())})
	}
	m.Assignment = slices.Clone(r.bytes())
	return m
}

func appendOffset(b []byte, o *classic.Offset) []byte {
	b = append(appendString(b, o.Topic), o.TopicID[:]...)
	b = appendInt(appendInt(appendInt(b, o.Partition), o.Offset), o.LeaderEpoch)
	return appendTime(appendTime(appendString(b, o.Metadata), o.CommitTime), o.Expires)
}

func readOffset(r *reader) classic.Offset {
	return classic.Offset{
		Topic: r.string(), TopicID: r.id(), Partition: int32(r.int()), Offset: r.int(),
		LeaderEpoch: int32(r.int()), Metadata: r.string(), CommitTime: r.time(), Expires: r.time(),
	}
}

package classic

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

// Sync gives a member its assignment, once the leader has brought it.
func (g *Group) Sync(now time.Time, to machine.Ticket, sync Sync) machine.Decision {
	member, err := g.member(sync.Member, sync.Instance)
	switch {
	case err != nil:
		return refuse(to, err)
	case sync.Generation != g.generation:
		return refuse(to, kerr.IllegalGeneration)
	case sync.ProtocolType != nil && *sync.ProtocolType != g.protocolType,
		sync.Protocol != nil && *sync.Protocol != g.protocol:
		return refuse(to, kerr.InconsistentGroupProtocol)
	case g.state == PreparingRebalance:
		return refuse(to, kerr.RebalanceInProgress)
	case g.state == Stable:
		g.silent[member.ID] = now.Add(member.SessionTimeout)
		g.hasSynced(member.ID)
		return machine.Decision{Then: []machine.Action{reply(to, g.syncedAs(member.Assignment))}}
	case g.state != CompletingRebalance:
		return refuse(to, kerr.UnknownMemberID)
	}
	var d machine.Decision
	if earlier, waits := g.syncing[member.ID]; waits {
		d.Then = append(d.Then, machine.Reply{To: earlier, Err: kerr.RebalanceInProgress})
	}
	g.hasSynced(member.ID)
	g.syncing[member.ID] = to
	if member.ID == g.leader {
		g.assign(now, sync.Assignments, &d)
	}
	return d
}

// hasSynced notes who asked for the assignment. When all have, and it is there,
// nobody is waited for any more.
func (g *Group) hasSynced(id string) {
	g.synced[id] = true
	if g.state == Stable && len(g.unsynced()) == 0 {
		g.until = time.Time{}
	}
}

func (g *Group) syncedAs(assignment []byte) Synced {
	return Synced{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: assignment}
}

// assign makes the group stable, and answers who waits.
func (g *Group) assign(now time.Time, assignments map[string][]byte, d *machine.Decision) {
	f := Assigned{Group: g.ID, Assignments: make(map[string][]byte, len(g.members))}
	for id := range g.members {
		f.Assignments[id] = assignments[id]
	}
	d.Record = append(d.Record, f)
	for id, ticket := range g.syncing {
		d.Then = append(d.Then, reply(ticket, g.syncedAs(f.Assignments[id])))
		g.silent[id] = now.Add(g.members[id].SessionTimeout)
	}
	clear(g.syncing)
	g.state = Stable
	if len(g.unsynced()) == 0 {
		g.until = time.Time{}
	}
}

// Leave lets members go; one error each.
func (g *Group) Leave(now time.Time, to machine.Ticket, leavers []Leaver) machine.Decision {
	var d machine.Decision
	errs := make([]error, len(leavers))
	for i, l := range leavers {
		id := l.Member
		if l.Instance != nil {
			static := g.static(*l.Instance)
			switch {
			case static == nil:
				errs[i] = kerr.UnknownMemberID
				continue
			case id != "" && static.ID != id:
				errs[i] = kerr.FencedInstanceID
				continue
			}
			id = static.ID
		}
		if _, reserved := g.reserved[id]; reserved {
			delete(g.reserved, id)
			continue
		}
		if g.members[id] == nil && g.next[id] == nil {
			errs[i] = kerr.UnknownMemberID
			continue
		}
		g.leave(now, id, &d)
	}
	g.maybeComplete(now, &d)
	d.Then = append(d.Then, reply(to, errs))
	return d
}

// remove takes out a member that fell silent.
func (g *Group) remove(now time.Time, id string, d *machine.Decision) {
	g.leave(now, id, d)
	g.maybeComplete(now, d)
}

// leave takes a member out, so that the next generation is without it.
func (g *Group) leave(now time.Time, id string, d *machine.Decision) {
	if ticket, waits := g.waiting(id); waits {
		d.Then = append(d.Then, machine.Reply{To: ticket, Err: kerr.UnknownMemberID})
	}
	delete(g.silent, id)
	delete(g.syncing, id)
	delete(g.next, id)
	if g.members[id] == nil {
		return
	}
	g.leaving(id)
	g.prepare(now, d)
}

// leaving marks a member as gone before the generation without it is recorded.
// What is durable still has it: after a crash its session simply ends again.
func (g *Group) leaving(id string) { delete(g.members, id) }

// Commit stores offsets.
func (g *Group) Commit(now time.Time, to machine.Ticket, commit Commit) machine.Decision {
	if err := g.mayCommit(now, commit); err != nil {
		return refuse(to, err)
	}
	if len(commit.Offsets) == 0 {
		return machine.Decision{Then: []machine.Action{reply(to, nil)}}
	}
	return machine.Decision{
		Record: []machine.Fact{Committed{Group: g.ID, Offsets: commit.Offsets}},
		Then:   []machine.Action{reply(to, nil)},
	}
}

func (g *Group) mayCommit(now time.Time, commit Commit) error {
	if commit.Generation < 0 && commit.Member == "" && commit.Instance == nil {
		if len(g.members) > 0 || len(g.next) > 0 {
			return kerr.UnknownMemberID
		}
		return nil
	}
	if len(g.members) == 0 && len(g.next) == 0 && g.generation == 0 {
		return kerr.IllegalGeneration
	}
	member, err := g.member(commit.Member, commit.Instance)
	switch {
	case err != nil:
		return err
	case commit.Generation != g.generation:
		return kerr.IllegalGeneration
	case g.state == CompletingRebalance:
		return kerr.RebalanceInProgress
	}
	g.silent[member.ID] = now.Add(member.SessionTimeout)
	return nil
}

// Offsets gives what is committed; nil asks for all.
func (g *Group) Offsets(of []Partition) []Offset {
	var offsets []Offset
	if of == nil {
		for _, o := range g.offsets {
			offsets = append(offsets, o)
		}
		return offsets
	}
	for _, p := range of {
		if o, ok := g.offsets[p]; ok {
			offsets = append(offsets, o)
		}
	}
	return offsets
}

// Delete forgets a group without members.
func (g *Group) Delete(to machine.Ticket) machine.Decision {
	switch {
	case g.Vacant() && g.generation == 0:
		return refuse(to, kerr.GroupIDNotFound)
	case len(g.members) > 0 || len(g.next) > 0:
		return refuse(to, kerr.NonEmptyGroup)
	}
	clear(g.reserved)
	return machine.Decision{Record: []machine.Fact{Gone{Group: g.ID}}, Then: []machine.Action{reply(to, nil)}}
}

// DeleteOffsets forgets offsets; one error each. subscribed says which topics
// the members read.
func (g *Group) DeleteOffsets(to machine.Ticket, of []Partition) machine.Decision {
	if g.Vacant() && g.generation == 0 {
		return refuse(to, kerr.GroupIDNotFound)
	}
	errs := make([]error, len(of))
	var gone []Partition
	for i, p := range of {
		if len(g.members) > 0 {
			errs[i] = kerr.GroupSubscribedToTopic
			continue
		}
		if _, ok := g.offsets[p]; ok {
			gone = append(gone, p)
		}
	}
	d := machine.Decision{Then: []machine.Action{reply(to, errs)}}
	if len(gone) > 0 {
		d.Record = append(d.Record, Uncommitted{Group: g.ID, Of: gone})
	}
	return d
}

// Describe shows the group.
func (g *Group) Describe() Description {
	d := Description{Group: g.ID, State: g.state, ProtocolType: g.protocolType, Protocol: g.protocol, Generation: g.generation}
	if g.Vacant() && g.generation == 0 {
		d.State = Dead
		return d
	}
	if g.state != Stable {
		d.Protocol = ""
	}
	for _, m := range g.sorted() {
		one := DescribedMember{Member: m.ID, Instance: m.Instance, ClientID: m.ClientID, Host: m.Host}
		if g.state != CompletingRebalance {
			one.Assignment = m.Assignment // while members join again they still have what they had
		}
		if g.state == Stable {
			one.Metadata = metadata(m.Protocols, g.protocol)
		}
		d.Members = append(d.Members, one)
	}
	for _, id := range g.order {
		if j := g.next[id]; j != nil && g.members[id] == nil {
			d.Members = append(d.Members, DescribedMember{Member: id, Instance: j.member.Instance, ClientID: j.member.ClientID, Host: j.member.Host})
		}
	}
	return d
}

// State is the group's state now.
func (g *Group) State() State { return g.Describe().State }

// ProtocolType is what the members are, for instance "consumer".
func (g *Group) ProtocolType() string { return g.protocolType }

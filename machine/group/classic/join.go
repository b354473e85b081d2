package classic

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine"
)

// Join lets a member in, or parks it until the rebalance is through.
func (g *Group) Join(now time.Time, to machine.Ticket, join Join) machine.Decision {
	switch {
	case join.ProtocolType == "" || len(join.Protocols) == 0:
		return refuse(to, kerr.InconsistentGroupProtocol)
	case join.SessionTimeout < g.o.SessionMin || join.SessionTimeout > g.o.SessionMax:
		return refuse(to, kerr.InvalidSessionTimeout)
	case !g.fits(join):
		return refuse(to, kerr.InconsistentGroupProtocol)
	case join.Instance != nil:
		return g.joinStatic(now, to, join)
	case join.Member == "":
		return g.joinNew(now, to, join)
	}
	_, reserved := g.reserved[join.Member]
	if !reserved && g.members[join.Member] == nil && g.next[join.Member] == nil {
		return refuse(to, kerr.UnknownMemberID)
	}
	delete(g.reserved, join.Member)
	return g.admit(now, to, join)
}

// joinNew admits a dynamic member without an id, or tells it one first.
func (g *Group) joinNew(now time.Time, to machine.Ticket, join Join) machine.Decision {
	if g.o.SizeMax > 0 && g.size() >= g.o.SizeMax {
		return refuse(to, kerr.GroupMaxSizeReached)
	}
	join.Member = g.o.NewMember(join.ClientID)
	if join.NeedsMemberID {
		g.reserved[join.Member] = now.Add(join.SessionTimeout)
		return machine.Decision{Then: []machine.Action{
			machine.Reply{To: to, Value: Joined{Generation: -1, Member: join.Member}, Err: kerr.MemberIDRequired},
		}}
	}
	return g.admit(now, to, join)
}

func (g *Group) size() int {
	n := len(g.next)
	for id := range g.members {
		if g.next[id] == nil {
			n++
		}
	}
	return n + len(g.reserved)
}

// joinStatic admits a member with an instance: it may take over from the one
// that had the instance before.
func (g *Group) joinStatic(now time.Time, to machine.Ticket, join Join) machine.Decision {
	old := g.static(*join.Instance)
	switch {
	case join.Member != "" && old == nil:
		return refuse(to, kerr.UnknownMemberID)
	case join.Member != "" && old.ID != join.Member:
		return refuse(to, kerr.FencedInstanceID)
	case join.Member != "":
		return g.admit(now, to, join)
	}
	if old == nil && g.o.SizeMax > 0 && g.size() >= g.o.SizeMax {
		return refuse(to, kerr.GroupMaxSizeReached)
	}
	join.Member = g.o.NewMember(*join.Instance)
	if old == nil {
		return g.admit(now, to, join)
	}
	return g.takeOver(now, to, join, *old)
}

// takeOver replaces a static member by its next incarnation, which goes on
// where the old one was unless the group would now choose another protocol.
// What else it says of itself counts from the next rebalance on.
func (g *Group) takeOver(now time.Time, to machine.Ticket, join Join, old Member) machine.Decision {
	var d machine.Decision
	if ticket, waits := g.waiting(old.ID); waits {
		d.Then = append(d.Then, machine.Reply{To: ticket, Err: kerr.FencedInstanceID})
	}
	delete(g.syncing, old.ID)
	delete(g.silent, old.ID)
	if j := g.next[old.ID]; j != nil {
		delete(g.next, old.ID)
		g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == old.ID })
	}
	if g.members[old.ID] == nil {
		return join2(d, g.admit(now, to, join))
	}
	wasLeader := g.leader == old.ID
	member := memberOf(join)
	member.Assignment = old.Assignment
	d.Record = append(d.Record, Replaced{Group: g.ID, Old: old.ID, New: member})
	g.silent[member.ID] = now.Add(member.SessionTimeout)
	if g.synced[old.ID] {
		g.synced[member.ID] = true
	}
	delete(g.synced, old.ID)
	if g.state != Stable || g.electWith(member, old.ID) != g.protocol {
		g.prepare(now, &d)
		g.park(now, to, join)
		g.maybeCompleteWithout(now, old.ID, &d)
		return d
	}
	joined := g.current(member.ID)
	if wasLeader {
		joined.Leader = old.ID // an old client must not think that it leads: it would assign anew
		if join.SkipsAssignment {
			joined.Leader, joined.SkipAssignment = member.ID, true
			for _, m := range g.sorted() {
				if m.ID == old.ID {
					m = member
				}
				joined.Members = append(joined.Members, JoinedMember{m.ID, m.Instance, metadata(m.Protocols, g.protocol)})
			}
		}
	}
	d.Then = append(d.Then, reply(to, joined))
	return d
}

func join2(a, b machine.Decision) machine.Decision {
	return machine.Decision{Record: append(a.Record, b.Record...), Then: append(a.Then, b.Then...)}
}

// admit takes a member with an id into the generation to come, or answers from
// the one that is there when nothing changed.
func (g *Group) admit(now time.Time, to machine.Ticket, join Join) machine.Decision {
	var d machine.Decision
	member := g.members[join.Member]
	same := member != nil && sameProtocols(member.Protocols, join.Protocols)
	switch g.state {
	case Stable:
		if same && member.ID != g.leader {
			g.silent[member.ID] = now.Add(member.SessionTimeout)
			return machine.Decision{Then: []machine.Action{reply(to, g.current(member.ID))}}
		}
		g.prepare(now, &d)
	case CompletingRebalance:
		if same {
			g.silent[member.ID] = now.Add(member.SessionTimeout)
			return machine.Decision{Then: []machine.Action{reply(to, g.joined(member.ID))}}
		}
		g.prepare(now, &d)
	case Empty, Dead:
		g.prepare(now, &d)
		if g.o.InitialDelay > 0 {
			g.delay = now.Add(g.o.InitialDelay)
		}
	}
	g.replaceWaiting(join.Member, &d)
	g.park(now, to, join)
	g.maybeComplete(now, &d)
	return d
}

// replaceWaiting answers an earlier Join of the same member, which gave up on it.
func (g *Group) replaceWaiting(id string, d *machine.Decision) {
	if j := g.next[id]; j != nil && j.ticket != 0 {
		d.Then = append(d.Then, machine.Reply{To: j.ticket, Err: kerr.RebalanceInProgress})
	}
}

func (g *Group) park(now time.Time, to machine.Ticket, join Join) {
	if g.next[join.Member] == nil {
		g.order = append(g.order, join.Member)
	}
	g.next[join.Member] = &joiner{member: memberOf(join), join: join, ticket: to}
	if g.until.IsZero() {
		g.until = now.Add(g.rebalanceTimeout())
	}
	if !g.delay.IsZero() { // while members arrive the wait goes on, but not for ever
		g.delay = now.Add(g.o.InitialDelay)
		if g.until.Before(g.delay) {
			g.delay = g.until
		}
	}
}

// prepare begins a rebalance: who waits for an assignment is told to join again.
func (g *Group) prepare(now time.Time, d *machine.Decision) {
	if g.state == PreparingRebalance {
		return
	}
	for id, ticket := range g.syncing {
		d.Then = append(d.Then, machine.Reply{To: ticket, Err: kerr.RebalanceInProgress})
		if m := g.members[id]; m != nil {
			g.silent[id] = now.Add(m.SessionTimeout)
		}
	}
	clear(g.syncing)
	clear(g.synced)
	g.state = PreparingRebalance
	g.until, g.delay = time.Time{}, time.Time{}
	if len(g.members) > 0 {
		g.until = now.Add(g.rebalanceTimeout())
	}
}

func (g *Group) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.RebalanceTimeout)
	}
	for _, j := range g.next {
		longest = max(longest, j.member.RebalanceTimeout)
	}
	return longest
}

// maybeComplete ends the rebalance when every member has joined again.
func (g *Group) maybeComplete(now time.Time, d *machine.Decision) { g.maybeCompleteWithout(now, "", d) }

func (g *Group) maybeCompleteWithout(now time.Time, gone string, d *machine.Decision) {
	if g.state != PreparingRebalance || g.delay.After(now) {
		return
	}
	for id := range g.members {
		if id != gone && g.next[id] == nil {
			return
		}
	}
	g.completeWithout(now, gone, d)
}

// complete makes the next generation of who has joined. Static members that
// have not are kept until their session ends.
func (g *Group) complete(now time.Time, d *machine.Decision) { g.completeWithout(now, "", d) }

func (g *Group) completeWithout(now time.Time, gone string, d *machine.Decision) {
	var members []Member
	for _, id := range g.order {
		if j := g.next[id]; j != nil {
			members = append(members, j.member)
		}
	}
	var late []string
	for _, m := range g.sorted() {
		switch {
		case m.ID == gone || g.next[m.ID] != nil:
		case m.Instance != nil:
			members = append(members, m)
		default:
			delete(g.silent, m.ID)
			late = append(late, m.ID)
		}
	}
	f := Generation{Group: g.ID, Number: g.generation + 1, Members: members}
	g.until, g.delay = time.Time{}, time.Time{}
	if len(members) == 0 {
		g.state, g.empty = Empty, now
		clear(g.silent)
		f.ProtocolType = g.protocolType
		if g.generation == 0 && len(g.offsets) == 0 {
			d.Record = append(d.Record, Gone{Group: g.ID})
			return
		}
		d.Record = append(d.Record, f)
		return
	}
	if g.next[members[0].ID] == nil { // nobody is there to lead: it goes on when one joins, or the last session ends
		for _, id := range late {
			g.leaving(id)
		}
		return
	}
	f.ProtocolType = g.typeOf(members)
	f.Protocol = elect(members)
	f.Leader = members[0].ID // who joined stands before who is only kept
	if g.next[g.leader] != nil {
		f.Leader = g.leader
	}
	d.Record = append(d.Record, f)
	for _, m := range members {
		g.silent[m.ID] = now.Add(m.SessionTimeout)
		if j := g.next[m.ID]; j != nil && j.ticket != 0 {
			d.Then = append(d.Then, reply(j.ticket, joinedOf(f, m.ID)))
		}
	}
	g.until = now.Add(g.rebalanceTimeout())
	g.state = CompletingRebalance
	clear(g.next)
	clear(g.synced)
	g.order = nil
}

// electWith is the protocol that would be chosen with a member in place of another.
func (g *Group) electWith(member Member, old string) string {
	members := g.sorted()
	for i := range members {
		if members[i].ID == old {
			members[i] = member
		}
	}
	return elect(members)
}

func (g *Group) typeOf(members []Member) string {
	for _, m := range members {
		if j := g.next[m.ID]; j != nil {
			return j.join.ProtocolType
		}
	}
	return g.protocolType
}

// elect chooses the protocol that most members like best among those that all know.
func elect(members []Member) string {
	votes := make(map[string]int)
	best := ""
	for _, m := range members {
		for _, p := range m.Protocols {
			if !all(members, p.Name) {
				continue
			}
			votes[p.Name]++
			if best == "" || votes[p.Name] > votes[best] {
				best = p.Name
			}
			break
		}
	}
	return best
}

func all(members []Member, protocol string) bool {
	for _, m := range members {
		if !slices.ContainsFunc(m.Protocols, func(p Protocol) bool { return p.Name == protocol }) {
			return false
		}
	}
	return true
}

// fits says that a member would have a protocol in common with all others.
func (g *Group) fits(join Join) bool {
	others := g.others(join)
	if len(others) == 0 {
		return true
	}
	if g.currentType() != "" && g.currentType() != join.ProtocolType {
		return false
	}
	for _, p := range join.Protocols {
		if all(others, p.Name) {
			return true
		}
	}
	return false
}

func (g *Group) currentType() string {
	for _, j := range g.next {
		return j.join.ProtocolType
	}
	return g.protocolType
}

func (g *Group) others(join Join) []Member {
	var others []Member
	mine := func(m *Member) bool {
		return m.ID == join.Member || join.Instance != nil && m.Instance != nil && *m.Instance == *join.Instance
	}
	for _, j := range g.next {
		if !mine(&j.member) {
			others = append(others, j.member)
		}
	}
	for id, m := range g.members {
		if g.next[id] == nil && !mine(m) {
			others = append(others, *m)
		}
	}
	return others
}

// current answers a Join from the generation that is there.
func (g *Group) current(id string) Joined {
	return Joined{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, Member: id}
}

func (g *Group) joined(id string) Joined {
	return joinedOf(Generation{Number: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, Members: g.sorted()}, id)
}

func joinedOf(f Generation, id string) Joined {
	joined := Joined{Generation: f.Number, ProtocolType: f.ProtocolType, Protocol: f.Protocol, Leader: f.Leader, Member: id}
	if id == f.Leader {
		for _, m := range f.Members {
			joined.Members = append(joined.Members, JoinedMember{m.ID, m.Instance, metadata(m.Protocols, f.Protocol)})
		}
	}
	return joined
}

func metadata(protocols []Protocol, name string) []byte {
	for _, p := range protocols {
		if p.Name == name {
			return p.Metadata
		}
	}
	return nil
}

func sameProtocols(a, b []Protocol) bool {
	return slices.EqualFunc(a, b, func(a, b Protocol) bool { return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata) })
}

func memberOf(join Join) Member {
	return Member{
		ID: join.Member, Instance: join.Instance, ClientID: join.ClientID, Host: join.Host,
		Protocols: join.Protocols, SessionTimeout: join.SessionTimeout, RebalanceTimeout: join.RebalanceTimeout,
	}
}

// Abandon forgets a ticket whose client is gone: nobody hears its answer.
func (g *Group) Abandon(ticket machine.Ticket) {
	for _, j := range g.next {
		if j.ticket == ticket {
			j.ticket = 0
		}
	}
	for id, t := range g.syncing {
		if t == ticket {
			delete(g.syncing, id)
		}
	}
}

package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/group/classic"
)

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

const reasonMax = 255 // bytes of a reason that are kept

func reason(text *string) string {
	if text == nil {
		return ""
	}
	return cut(*text, reasonMax)
}

// joinGroup waits until the member's generation is complete.
//
// v0-9: v1 has a rebalance timeout, v4 tells new members their id first, v5
// has static members, v6 is flexible, v7 answers the type, v8 has a reason, v9
// may tell a static leader to leave the assignment alone.
func (h *Handlers) joinGroup(ctx context.Context, s *Session, req *kmsg.JoinGroupRequest) answer {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	join := classic.Join{
		Member: req.MemberID, Instance: req.InstanceID, ClientID: s.ClientID, Host: "/" + s.Host,
		ProtocolType: req.ProtocolType, SessionTimeout: millis(req.SessionTimeoutMillis), RebalanceTimeout: millis(req.RebalanceTimeoutMillis),
		NeedsMemberID: req.Version >= 4, SkipsAssignment: req.Version >= 9, Reason: reason(req.Reason),
	}
	if req.Version == 0 {
		join.RebalanceTimeout = join.SessionTimeout
	}
	for _, p := range req.Protocols {
		join.Protocols = append(join.Protocols, classic.Protocol{Name: p.Name, Metadata: slices.Clone(p.Metadata)})
	}
	joined, err := h.Groups.Join(ctx, req.Group, join)
	resp.ErrorCode = h.code(err)
	resp.Generation = -1
	resp.MemberID = req.MemberID
	resp.Members = []kmsg.JoinGroupResponseMember{}
	empty := ""
	resp.Protocol = &empty
	if err != nil {
		if joined.Member != "" {
			resp.MemberID = joined.Member
		}
		if req.Version >= 7 {
			resp.Protocol = nil
		}
		return body{resp}
	}
	resp.Generation, resp.LeaderID, resp.MemberID, resp.SkipAssignment = joined.Generation, joined.Leader, joined.Member, joined.SkipAssignment
	resp.ProtocolType, resp.Protocol = &joined.ProtocolType, &joined.Protocol
	for _, m := range joined.Members {
		one := kmsg.NewJoinGroupResponseMember()
		one.MemberID, one.InstanceID, one.ProtocolMetadata = m.Member, m.Instance, m.Metadata
		resp.Members = append(resp.Members, one)
	}
	return body{resp}
}

// syncGroup waits for the member's assignment.
//
// v0-5: v3 has static members, v4 is flexible, v5 checks type and protocol.
func (h *Handlers) syncGroup(ctx context.Context, _ *Session, req *kmsg.SyncGroupRequest) answer {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.MemberAssignment = []byte{}
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return body{resp}
	}
	sync := classic.Sync{Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation, Assignments: make(map[string][]byte)}
	if req.Version >= 5 {
		sync.ProtocolType, sync.Protocol = req.ProtocolType, req.Protocol
	}
	for _, a := range req.GroupAssignment {
		sync.Assignments[a.MemberID] = slices.Clone(a.MemberAssignment)
	}
	synced, err := h.Groups.Sync(ctx, req.Group, sync)
	resp.ErrorCode = h.code(err)
	if err == nil {
		resp.ProtocolType, resp.Protocol = &synced.ProtocolType, &synced.Protocol
		if synced.Assignment != nil {
			resp.MemberAssignment = synced.Assignment
		}
	}
	return body{resp}
}

// heartbeat keeps a member alive, and tells it when it must rejoin.
//
// v0-4: v3 has static members, v4 is flexible.
func (h *Handlers) heartbeat(ctx context.Context, _ *Session, req *kmsg.HeartbeatRequest) answer {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return body{resp}
	}
	resp.ErrorCode = h.code(h.Groups.Heartbeat(ctx, req.Group, classic.Heartbeat{
		Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation,
	}))
	return body{resp}
}

// leaveGroup lets members go.
//
// v0-5: v3 takes many, v4 is flexible, v5 has a reason.
func (h *Handlers) leaveGroup(ctx context.Context, _ *Session, req *kmsg.LeaveGroupRequest) answer {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return body{resp}
	}
	var leavers []classic.Leaver
	if req.Version < 3 {
		leavers = append(leavers, classic.Leaver{Member: req.MemberID})
	}
	for _, m := range req.Members {
		leavers = append(leavers, classic.Leaver{Member: m.MemberID, Instance: m.InstanceID, Reason: reason(m.Reason)})
	}
	errs, err := h.Groups.Leave(ctx, req.Group, leavers)
	switch {
	case err != nil:
		resp.ErrorCode = h.code(err)
	case req.Version < 3:
		resp.ErrorCode = h.code(errs[0])
	default:
		for i, m := range req.Members {
			one := kmsg.NewLeaveGroupResponseMember()
			one.MemberID, one.InstanceID, one.ErrorCode = m.MemberID, m.InstanceID, h.code(errs[i])
			resp.Members = append(resp.Members, one)
		}
	}
	return body{resp}
}

// describeGroups shows groups and their members.
//
// v0-6: v3 has operations, v4 static members, v5 is flexible, v6 says that a
// group is not there.
func (h *Handlers) describeGroups(ctx context.Context, _ *Session, req *kmsg.DescribeGroupsRequest) answer {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		out := kmsg.NewDescribeGroupsResponseGroup()
		out.Group, out.AuthorizedOperations = id, operationsUnasked
		d, err := h.Groups.Describe(ctx, id)
		out.ErrorCode = h.code(err)
		out.State, out.ProtocolType, out.Protocol = string(d.State), d.ProtocolType, d.Protocol
		if req.IncludeAuthorizedOperations {
			out.AuthorizedOperations = groupOperations
		}
		if err == nil && d.State == classic.Dead && req.Version >= 6 {
			text := "Group " + id + " not found."
			out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		}
		for _, m := range d.Members {
			one := kmsg.NewDescribeGroupsResponseGroupMember()
			one.MemberID, one.InstanceID, one.ClientID, one.ClientHost = m.Member, m.Instance, m.ClientID, m.Host
			one.ProtocolMetadata, one.MemberAssignment = m.Metadata, m.Assignment
			out.Members = append(out.Members, one)
		}
		resp.Groups = append(resp.Groups, out)
	}
	return body{resp}
}

// listGroups lists groups.
//
// v0-5: v3 is flexible, v4 filters by state, v5 by type.
func (h *Handlers) listGroups(ctx context.Context, _ *Session, req *kmsg.ListGroupsRequest) answer {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	listings, err := h.Groups.List(ctx)
	resp.ErrorCode = h.code(err)
	has := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	resp.Groups = []kmsg.ListGroupsResponseGroup{}
	for _, l := range listings {
		if !has(req.StatesFilter, string(l.State)) || !has(req.TypesFilter, l.Type) {
			continue
		}
		one := kmsg.NewListGroupsResponseGroup()
		one.Group, one.ProtocolType, one.GroupState, one.GroupType = l.Group, l.ProtocolType, string(l.State), l.Type
		resp.Groups = append(resp.Groups, one)
	}
	return body{resp}
}

// deleteGroups forgets groups without members.
//
// v0-3: v2 is flexible, v3 has messages.
func (h *Handlers) deleteGroups(ctx context.Context, _ *Session, req *kmsg.DeleteGroupsRequest) answer {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	for _, id := range req.Groups {
		one := kmsg.NewDeleteGroupsResponseGroup()
		err := h.Groups.Delete(ctx, id)
		one.Group, one.ErrorCode, one.ErrorMessage = id, h.code(err), message(err)
		resp.Groups = append(resp.Groups, one)
	}
	return body{resp}
}

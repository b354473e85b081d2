package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/coordinator"
	"milena/machine/group/classic"
)

const offsetMetadataMax = 4096 // bytes of a commit's text

// offsetCommit stores offsets of a group.
//
// v0-10: v1 has members, v2 drops times and has a retention (ignored since
// Kafka 2.1), v6 leader epochs, v7 static members, v8 is flexible, v10 has ids.
func (h *Handlers) offsetCommit(ctx context.Context, _ *Session, req *kmsg.OffsetCommitRequest) answer {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	commit := classic.Commit{Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation}
	if req.Version == 0 {
		commit.Generation = -1
	}
	type spot struct{ topic, partition int }
	var stored []spot
	for t := range req.Topics {
		in := &req.Topics[t]
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		for p := range in.Partitions {
			one := kmsg.NewOffsetCommitResponseTopicPartition()
			one.Partition = in.Partitions[p].Partition
			offset, err := h.committed(req.Version, in, &in.Partitions[p])
			if err == nil {
				commit.Offsets = append(commit.Offsets, offset)
				stored = append(stored, spot{t, p})
			}
			one.ErrorCode = h.code(err)
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(stored) == 0 && len(req.Topics) > 0 {
		return body{resp}
	}
	code := h.code(h.Groups.Commit(ctx, req.Group, commit))
	for _, s := range stored {
		resp.Topics[s.topic].Partitions[s.partition].ErrorCode = code
	}
	return body{resp}
}

func (h *Handlers) committed(version int16, t *kmsg.OffsetCommitRequestTopic, p *kmsg.OffsetCommitRequestTopicPartition) (classic.Offset, error) {
	topic, ok := h.Cluster.Topic(t.Topic)
	if version >= 10 {
		if topic, ok = h.Cluster.TopicByID(t.TopicID); !ok {
			return classic.Offset{}, kerr.UnknownTopicID
		}
	}
	if !ok || p.Partition < 0 || p.Partition >= topic.Partitions {
		return classic.Offset{}, kerr.UnknownTopicOrPartition
	}
	o := classic.Offset{Topic: topic.Name, TopicID: topic.ID, Partition: p.Partition, Offset: p.Offset, LeaderEpoch: -1}
	if version >= 6 {
		o.LeaderEpoch = p.LeaderEpoch
	}
	if p.Metadata != nil {
		o.Metadata = *p.Metadata
	}
	if len(o.Metadata) > offsetMetadataMax {
		return o, kerr.OffsetMetadataTooLarge
	}
	if version == 1 && p.Timestamp > 0 {
		o.CommitTime = time.UnixMilli(p.Timestamp)
	}
	return o, nil
}

// offsetFetch gives committed offsets; -1 where there is none.
//
// v0-10: v2 asks for all by null and has an error of the group's, v7 may ask
// for stable ones, v8 for many groups, v10 names topics by id.
func (h *Handlers) offsetFetch(ctx context.Context, _ *Session, req *kmsg.OffsetFetchRequest) answer {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for i := range req.Groups {
			resp.Groups = append(resp.Groups, h.groupOffsets(ctx, req.Version, &req.Groups[i]))
		}
		return body{resp}
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = req.Group
	for _, t := range req.Topics {
		topic := kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic, topic.Partitions = t.Topic, t.Partitions
		one.Topics = append(one.Topics, topic)
	}
	if req.Topics != nil && one.Topics == nil {
		one.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	group := h.groupOffsets(ctx, req.Version, &one)
	resp.ErrorCode = group.ErrorCode
	resp.Topics = []kmsg.OffsetFetchResponseTopic{}
	for _, t := range group.Topics {
		topic := kmsg.NewOffsetFetchResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return body{resp}
}

func (h *Handlers) groupOffsets(ctx context.Context, version int16, in *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = in.Group
	offsets, err := h.Groups.Offsets(ctx, in.Group, nil)
	if err != nil {
		out.ErrorCode = h.code(err)
		return out
	}
	known := make(map[coordinator.TopicPartition]classic.Offset)
	var order []string
	all := make(map[string][]int32)
	for _, o := range offsets {
		topic, ok := h.Cluster.Topic(o.Topic)
		if !ok || topic.ID != o.TopicID { // of a topic that was deleted since
			continue
		}
		known[coordinator.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o
		if all[o.Topic] == nil {
			order = append(order, o.Topic)
		}
		all[o.Topic] = append(all[o.Topic], o.Partition)
	}
	wanted := in.Topics
	if wanted == nil {
		for _, name := range order {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic, t.Partitions = name, all[name]
			if topic, ok := h.Cluster.Topic(name); ok {
				t.TopicID = topic.ID
			}
			wanted = append(wanted, t)
		}
	}
	for _, t := range wanted {
		out.Topics = append(out.Topics, h.topicOffsets(version, t, known))
	}
	return out
}

func (h *Handlers) topicOffsets(version int16, t kmsg.OffsetFetchRequestGroupTopic, known map[coordinator.TopicPartition]classic.Offset) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	name, code := t.Topic, int16(0)
	if version >= 10 {
		if topic, ok := h.Cluster.TopicByID(t.TopicID); ok {
			name = topic.Name
		} else {
			code = kerr.UnknownTopicID.Code
		}
	}
	for _, p := range t.Partitions {
		one := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		empty := ""
		one.Partition, one.Offset, one.LeaderEpoch, one.Metadata, one.ErrorCode = p, -1, -1, &empty, code
		if o, ok := known[coordinator.TopicPartition{Topic: name, Partition: p}]; ok && code == 0 {
			text := o.Metadata
			one.Offset, one.LeaderEpoch, one.Metadata = o.Offset, o.LeaderEpoch, &text
		}
		out.Partitions = append(out.Partitions, one)
	}
	return out
}

// initProducerID gives an id to an idempotent producer.
//
// v0-5: v2 is flexible, v3 may bring the id that the producer had.
func (h *Handlers) initProducerID(ctx context.Context, _ *Session, req *kmsg.InitProducerIDRequest) answer {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	err := error(nil)
	switch {
	case req.TransactionalID != nil:
		err = fmt.Errorf("%w: transactions are not served yet", kerr.InvalidRequest)
	case req.Version >= 3 && (req.ProducerID >= 0) != (req.ProducerEpoch >= 0):
		err = kerr.InvalidRequest
	default:
		var id int64
		if id, err = h.Cluster.ProducerID(ctx); err == nil {
			resp.ProducerID, resp.ProducerEpoch = id, 0
		}
	}
	resp.ErrorCode = h.code(err)
	return body{resp}
}

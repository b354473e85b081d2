package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/coordinator"
	"milena/partition"
)

// Special timestamps of ListOffsets, and the version each came with.
const (
	latestOffset     = -1
	earliestOffset   = -2
	maxTimestamp     = -3 // v7
	earliestLocal    = -4 // v8
	latestTiered     = -5 // v9
	earliestUploaded = -6 // v11
)

// listOffsets finds offsets by time.
//
// v0-11: v0 answers with a list, v1 with a time, v4 has leader epochs, v6 is
// flexible, v7 finds the largest time, v8-11 know tiers (there are none).
func (h *Handlers) listOffsets(ctx context.Context, _ *Session, req *kmsg.ListOffsetsRequest) answer {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	times := make(map[coordinator.TopicPartition]int)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			times[coordinator.TopicPartition{Topic: t.Topic, Partition: p.Partition}]++
		}
	}
	spots := make(map[string]int) // of topics in the answer
	for _, t := range req.Topics {
		spot, ok := spots[t.Topic]
		if !ok {
			spot = len(resp.Topics)
			spots[t.Topic] = spot
			out := kmsg.NewListOffsetsResponseTopic()
			out.Topic = t.Topic
			resp.Topics = append(resp.Topics, out)
		}
		for _, p := range t.Partitions {
			at := coordinator.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if n := times[at]; n > 0 {
				resp.Topics[spot].Partitions = append(resp.Topics[spot].Partitions, h.listOffset(ctx, req, t.Topic, p, n > 1))
			}
			delete(times, at) // a partition is answered once
		}
	}
	return body{resp}
}

func (h *Handlers) listOffset(ctx context.Context, req *kmsg.ListOffsetsRequest, topic string, p kmsg.ListOffsetsRequestTopicPartition, twice bool) kmsg.ListOffsetsResponseTopicPartition {
	one := kmsg.NewListOffsetsResponseTopicPartition()
	one.Partition, one.Offset, one.Timestamp, one.LeaderEpoch = p.Partition, -1, -1, -1
	if twice {
		one.ErrorCode = kerr.InvalidRequest.Code
		return one
	}
	log, err := h.log(topic, p.Partition)
	if err == nil {
		err = offsetError(req, p, log.Bounds().Epoch)
	}
	if err == nil {
		err = findOffset(ctx, log, p.Timestamp, &one)
	}
	if one.ErrorCode = h.code(err); err == nil && req.Version == 0 {
		one.OldStyleOffsets = oldOffsets(p, log.Bounds(), one.Offset)
	}
	return one
}

// offsetError refuses who knows another leader, and times that mean something
// only in later versions.
func offsetError(req *kmsg.ListOffsetsRequest, p kmsg.ListOffsetsRequestTopicPartition, epoch int32) error {
	switch version := req.Version; {
	case req.IsolationLevel < 0 || req.IsolationLevel > 1:
		return kerr.InvalidRequest
	case version >= 4 && p.CurrentLeaderEpoch >= 0 && p.CurrentLeaderEpoch < epoch:
		return kerr.FencedLeaderEpoch
	case version >= 4 && p.CurrentLeaderEpoch > epoch:
		return kerr.UnknownLeaderEpoch
	case p.Timestamp == maxTimestamp && version < 7, p.Timestamp == earliestLocal && version < 8,
		p.Timestamp == latestTiered && version < 9, p.Timestamp == earliestUploaded && version < 11, p.Timestamp < earliestUploaded:
		return kerr.UnsupportedVersion
	}
	return nil
}

func findOffset(ctx context.Context, log partition.Log, time int64, one *kmsg.ListOffsetsResponseTopicPartition) (err error) {
	bounds := log.Bounds()
	switch time {
	case latestOffset:
		one.Offset = bounds.HighWatermark
	case earliestOffset, earliestLocal:
		one.Offset = bounds.Start
	case latestTiered, earliestUploaded: // nothing is tiered
	case maxTimestamp:
		one.Offset, one.Timestamp, err = log.MaxTimestamp(ctx)
	default:
		one.Offset, one.Timestamp, err = log.OffsetAt(ctx, time)
	}
	if one.Offset >= 0 {
		one.LeaderEpoch = bounds.Epoch
	}
	return err
}

// oldOffsets is what version 0 answers: offsets, newest first, as many as asked
// for. Behind the latest stands the earliest. By time it is the offset before
// which every record is older; Kafka knew it by segment only.
func oldOffsets(p kmsg.ListOffsetsRequestTopicPartition, bounds partition.Bounds, offset int64) []int64 {
	if offset < 0 {
		offset = bounds.HighWatermark
	}
	offsets := []int64{offset}
	if p.Timestamp == latestOffset && bounds.Start != offset {
		offsets = append(offsets, bounds.Start)
	}
	return offsets[:min(len(offsets), max(int(p.MaxNumOffsets), 0))]
}

// log finds a live partition by its topic's name.
func (h *Handlers) log(name string, index int32) (partition.Log, error) {
	topic, ok := h.Cluster.Topic(name)
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	log, ok := h.Logs.Log(topic, index)
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	return log, nil
}

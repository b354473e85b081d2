package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

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
// v0-11: v0 answers with a list, v4 has leader epochs, v6 is flexible.
func (h *Handlers) listOffsets(ctx context.Context, _ *Session, req *kmsg.ListOffsetsRequest) answer {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	seen := make(map[string]map[int32]int)
	for _, t := range req.Topics {
		if seen[t.Topic] == nil {
			seen[t.Topic] = make(map[int32]int)
		}
		for _, p := range t.Partitions {
			seen[t.Topic][p.Partition]++
		}
	}
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			if seen[t.Topic][p.Partition] < 0 {
				continue
			}
			one := kmsg.NewListOffsetsResponseTopicPartition()
			one.Partition, one.Offset, one.Timestamp, one.LeaderEpoch = p.Partition, -1, -1, -1
			if seen[t.Topic][p.Partition] > 1 {
				seen[t.Topic][p.Partition] = -1
				one.ErrorCode = kerr.InvalidRequest.Code
			} else {
				one.ErrorCode = h.code(h.offsetAt(ctx, req.Version, t.Topic, p, &one))
			}
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return body{resp}
}

func (h *Handlers) offsetAt(ctx context.Context, version int16, name string, p kmsg.ListOffsetsRequestTopicPartition, one *kmsg.ListOffsetsResponseTopicPartition) error {
	log, err := h.log(name, p.Partition)
	if err != nil {
		return err
	}
	bounds := log.Bounds()
	switch {
	case version >= 4 && p.CurrentLeaderEpoch >= 0 && p.CurrentLeaderEpoch < bounds.Epoch:
		return kerr.FencedLeaderEpoch
	case version >= 4 && p.CurrentLeaderEpoch > bounds.Epoch:
		return kerr.UnknownLeaderEpoch
	case p.Timestamp == maxTimestamp && version < 7, p.Timestamp == earliestLocal && version < 8,
		p.Timestamp == latestTiered && version < 9, p.Timestamp == earliestUploaded && version < 11, p.Timestamp < earliestUploaded:
		return kerr.UnsupportedVersion
	}
	switch p.Timestamp {
	case latestOffset:
		one.Offset = bounds.HighWatermark
	case earliestOffset, earliestLocal:
		one.Offset = bounds.Start
	case latestTiered, earliestUploaded: // nothing is tiered
	case maxTimestamp:
		one.Offset, one.Timestamp, err = log.MaxTimestamp(ctx)
	default:
		one.Offset, one.Timestamp, err = log.OffsetAt(ctx, p.Timestamp)
	}
	if one.Offset >= 0 {
		one.LeaderEpoch = bounds.Epoch
		if version == 0 {
			one.OldStyleOffsets = oldOffsets(p, bounds, one.Offset)
		}
	}
	return err
}

// oldOffsets is what version 0 answers: offsets, newest first, as many as asked for.
func oldOffsets(p kmsg.ListOffsetsRequestTopicPartition, bounds partition.Bounds, offset int64) []int64 {
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

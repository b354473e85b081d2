package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition's last offsets may hold no record: compaction or an aborted
// transaction took them. The client passes over them without a word, so --exit,
// when nothing more comes, asks by itself whether anything is there.

const tailBytes = 1 << 20 // of a partition, asked for at once

// passTails moves on over what holds no records. What can't be asked now is
// asked again after the next poll without a record; if something is wrong, the
// client's own requests tell it.
func (o *consume) passTails(ctx context.Context, client *kgo.Client) {
	topics, err := kadm.NewClient(client).ListTopics(ctx, o.topic)
	if err != nil || topics[o.topic].Err != nil {
		return
	}
	topic := topics[o.topic]
	o.mu.Lock()
	unread := o.unread()
	o.mu.Unlock()
	for p, at := range unread {
		if next := o.nextRecord(ctx, client, topic, p, at); next > at {
			o.moved(p, next)
		}
	}
}

// unread are the partitions that are not read to their end, and where they are.
// The mutex is held.
func (o *consume) unread() map[int32]int64 {
	open := map[int32]int64{}
	for p, end := range o.ends {
		if (o.group == "" || o.mine[p]) && o.at[p] < end {
			open[p] = o.at[p]
		}
	}
	return open
}

// nextRecord is the offset behind what holds no record; at itself if a record,
// or nothing at all yet, is there.
func (o *consume) nextRecord(ctx context.Context, client *kgo.Client, topic kadm.TopicDetail, p int32, at int64) int64 {
	isolation := kgo.ReadUncommitted()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.ReplicaID = tailBytes, -1
	if o.readsCommitted() {
		isolation, req.IsolationLevel = kgo.ReadCommitted(), 1
	}
	wanted := kmsg.NewFetchRequestTopicPartition()
	wanted.Partition, wanted.FetchOffset, wanted.PartitionMaxBytes = p, at, tailBytes
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID = topic.Topic, topic.ID
	of.Partitions = append(of.Partitions, wanted)
	req.Topics = append(req.Topics, of)
	answer, err := client.Broker(int(topic.Partitions[p].Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return at
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok || resp.ErrorCode != 0 || resp.ThrottleMillis > 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return at
	}
	part := &resp.Topics[0].Partitions[0]
	if part.ErrorCode == 0 && len(part.RecordBatches) == 0 { // a broker that has a batch sends it, whatever its size
		if req.IsolationLevel == 1 {
			return part.LastStableOffset
		}
		return part.HighWatermark
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: at, IsolationLevel: isolation, Topic: o.topic, Partition: p,
	}, part, kgo.DefaultDecompressor(), nil)
	if got.Err != nil || len(got.Records) > 0 {
		return at
	}
	return next
}

func (o *consume) readsCommitted() bool { return o.k.set.get("isolation.level") == "read_committed" }

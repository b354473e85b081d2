package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker is the topics there are, and where batches go.
type broker struct {
	address string
	dir     string
	put     func(p *partition, batch []byte, records int64, done func(base int64, err error))
	later   bool // put is done after it returns

	mu     sync.RWMutex
	topics map[string]*topic
}

// topic is its partitions.
type topic struct {
	partitions []*partition
}

// What is served, and in which versions: those that clients of the last years
// use, as long as topics have names.
var served = []kmsg.ApiVersionsResponseApiKey{
	{ApiKey: 0, MinVersion: 3, MaxVersion: 11}, // Produce
	{ApiKey: 1, MinVersion: 4, MaxVersion: 11}, // Fetch
	{ApiKey: 2, MinVersion: 1, MaxVersion: 5},  // ListOffsets
	{ApiKey: 3, MinVersion: 0, MaxVersion: 9},  // Metadata
	{ApiKey: 18, MinVersion: 0, MaxVersion: 3}, // ApiVersions
	{ApiKey: 19, MinVersion: 0, MaxVersion: 4}, // CreateTopics
	{ApiKey: 20, MinVersion: 0, MaxVersion: 3}, // DeleteTopics
}

// start does what is asked, or begins to.
func (b *broker) start(r *request) error {
	var resp kmsg.Response
	switch req := r.Request.(type) {
	case *kmsg.ProduceRequest:
		return b.produce(r, req)
	case *kmsg.FetchRequest:
		return b.fetch(r, req)
	case *kmsg.ListOffsetsRequest:
		resp = b.listOffsets(req)
	case *kmsg.MetadataRequest:
		resp = b.metadata(req)
	case *kmsg.ApiVersionsRequest:
		resp = versions(req)
	case *kmsg.CreateTopicsRequest:
		resp = b.create(req)
	case *kmsg.DeleteTopicsRequest:
		resp = b.delete(req)
	default:
		return fmt.Errorf("API key %d is not served", r.Key())
	}
	r.answer.body = resp.AppendTo(nil)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Where things stand in a batch.
const (
	crcAt      = 17
	summedFrom = 21
	countAt    = 57
	batchHead  = 61
)

// produce checks each batch's CRC and puts it away.
func (b *broker) produce(r *request, req *kmsg.ProduceRequest) error {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	var left atomic.Int32 // batches on their way, and one for who starts them
	left.Store(1)
	ended := func() {
		if left.Add(-1) == 0 {
			r.answer.body = resp.AppendTo(nil)
			if r.done != nil {
				r.done <- nil
			}
		}
	}
	if b.later {
		r.done = make(chan error, 1)
	}
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, out := &req.Topics[i], &resp.Topics[i]
		out.Topic, out.Partitions = t.Topic, make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		known := b.find(t.Topic)
		for j := range t.Partitions {
			in, answer := &t.Partitions[j], &out.Partitions[j]
			answer.Partition, answer.LogAppendTime, answer.BaseOffset = in.Partition, -1, -1
			batch := in.Records
			switch {
			case known == nil || int(in.Partition) >= len(known.partitions):
				answer.ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			case len(batch) < batchHead || binary.BigEndian.Uint32(batch[crcAt:]) != crc32.Checksum(batch[summedFrom:], castagnoli):
				answer.ErrorCode = kerr.CorruptMessage.Code
				continue
			}
			left.Add(1)
			b.put(known.partitions[in.Partition], batch, int64(binary.BigEndian.Uint32(batch[countAt:])), func(base int64, err error) {
				answer.BaseOffset = base
				if err != nil {
					fmt.Fprintln(os.Stderr, "floor:", err)
					answer.ErrorCode = kerr.KafkaStorageError.Code
				}
				ended()
			})
		}
	}
	ended()
	return nil
}

func (b *broker) find(name string) *topic {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.topics[name]
}

func (b *broker) listOffsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		known := b.find(t.Topic)
		for _, p := range t.Partitions {
			answer := kmsg.NewListOffsetsResponseTopicPartition()
			answer.Partition = p.Partition
			if known == nil || int(p.Partition) >= len(known.partitions) {
				answer.ErrorCode = kerr.UnknownTopicOrPartition.Code
			} else {
				start, end := known.partitions[p.Partition].bounds()
				if answer.Offset = end; p.Timestamp != -1 {
					answer.Offset = start
				}
				answer.LeaderEpoch = 0
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *broker) metadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	host, port := split(b.address)
	me := kmsg.NewMetadataResponseBroker()
	me.NodeID, me.Host, me.Port = 1, host, port
	resp.Brokers, resp.ControllerID = append(resp.Brokers, me), 1
	b.mu.RLock()
	defer b.mu.RUnlock()
	names := make([]string, 0, len(req.Topics))
	for _, t := range req.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		}
	}
	if req.Topics == nil {
		for name := range b.topics {
			names = append(names, name)
		}
	}
	for _, name := range names {
		out := kmsg.NewMetadataResponseTopic()
		out.Topic = &name
		known := b.topics[name]
		if known == nil {
			out.ErrorCode = kerr.UnknownTopicOrPartition.Code
			known = &topic{}
		}
		for i := range known.partitions {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), 1, 0, []int32{1}, []int32{1}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func versions(req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ApiKeys = served
	return resp
}

func (b *broker) create(req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range req.Topics {
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = t.Topic
		if b.topics[t.Topic] != nil {
			out.ErrorCode = kerr.TopicAlreadyExists.Code
		} else if err := b.make(&t); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			out.ErrorCode = kerr.KafkaStorageError.Code
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// make makes a topic. Call it under the lock.
func (b *broker) make(t *kmsg.CreateTopicsRequestTopic) error {
	name := strings.Clone(t.Topic) // it lies in the frame
	keep, segment := int64(-1), int64(1<<30)
	for _, config := range t.Configs {
		if config.Value == nil {
			continue
		}
		n, err := strconv.ParseInt(*config.Value, 10, 64)
		switch config.Name {
		case "retention.bytes":
			keep = n
		case "segment.bytes":
			segment = n
		}
		if err != nil {
			return fmt.Errorf("create %s: %s: %w", t.Topic, config.Name, err)
		}
	}
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	made := &topic{}
	for i := range t.NumPartitions {
		made.partitions = append(made.partitions, &partition{
			prefix: filepath.Join(dir, fmt.Sprint(i)), number: len(b.topics)*7 + int(i), keep: keep, segmentBytes: segment,
		})
	}
	b.topics[name] = made
	return nil
}

func (b *broker) delete(req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	for _, name := range req.TopicNames {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic = &name
		b.mu.Lock()
		known := b.topics[name]
		delete(b.topics, name)
		b.mu.Unlock()
		if known == nil {
			out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		} else {
			for _, p := range known.partitions {
				p.drop()
			}
			os.RemoveAll(filepath.Join(b.dir, name)) //nolint:errcheck // the runner looks whether it is gone
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

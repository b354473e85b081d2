package api

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/cluster"
	"milena/partition"
)

// produceVersionMin is the first version with record batches. Versions below
// it are advertised, as Kafka 4 does, for old librdkafka stops compressing
// without them; a request of one closes the connection.
const produceVersionMin = 3

// produce puts batches into partitions. It takes their places when it is
// started, and answers when all of them are durable.
//
// v3-13: v9 is flexible, v10 has leader hints (none are needed here), v13 names
// topics by id.
func (h *Handlers) produce(s *Session, req *kmsg.ProduceRequest, r Request) (Finish, error) {
	if req.Version < produceVersionMin {
		return nil, fmt.Errorf("Produce version %d: %w: messages of the formats before Kafka 0.11", req.Version, errNotServed)
	}
	p := &produced{handlers: h, req: req, done: make(chan struct{})}
	p.resp = req.ResponseKind().(*kmsg.ProduceResponse)
	p.left.Store(1)
	p.start(r)
	p.finished()
	if req.Acks == 0 {
		return p.silent, nil
	}
	return p.finish, nil
}

// produced is a Produce under way.
type produced struct {
	handlers *Handlers
	req      *kmsg.ProduceRequest
	resp     *kmsg.ProduceResponse
	left     atomic.Int32 // appends without an answer, and one for the start
	done     chan struct{}
}

func (p *produced) start(r Request) {
	how := partition.Append{Now: r.Received, Version: r.Version, TransactionalID: p.req.TransactionID}
	for _, t := range p.req.Topics {
		topic, err := p.topic(t)
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		answer.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		p.resp.Topics = append(p.resp.Topics, answer)
		for i := range t.Partitions {
			out := &answer.Partitions[i]
			out.Default()
			out.Partition = t.Partitions[i].Partition
			p.append(topic, err, t, i, out, r.Lease, how)
		}
	}
}

// topic finds the topic, or says why nothing can be written to it.
func (p *produced) topic(t kmsg.ProduceRequestTopic) (*cluster.Topic, error) {
	switch acks := p.req.Acks; {
	case acks < -1 || acks > 1:
		return nil, kerr.InvalidRequiredAcks
	case p.req.TransactionID != nil:
		return nil, fmt.Errorf("%w: transactions are not served yet", kerr.InvalidRequest)
	}
	if p.req.Version >= 13 {
		topic, ok := p.handlers.Cluster.TopicByID(t.TopicID)
		if !ok {
			return nil, kerr.UnknownTopicID
		}
		return topic, nil
	}
	if internalTopic(t.Topic) {
		return nil, kerr.InvalidTopicException
	}
	topic, ok := p.handlers.Cluster.Topic(t.Topic)
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	return topic, nil
}

func (p *produced) append(topic *cluster.Topic, err error, t kmsg.ProduceRequestTopic, i int, out *kmsg.ProduceResponseTopicPartition, lease partition.Lease, how partition.Append) {
	in := &t.Partitions[i]
	var log partition.Log
	if err == nil {
		var ok bool
		if log, ok = p.handlers.Logs.Log(topic, in.Partition); !ok {
			err = kerr.UnknownTopicOrPartition
		}
	}
	switch {
	case err != nil:
	case twice(t.Partitions, i):
		err = fmt.Errorf("%w: the partition stands in the request twice", kerr.InvalidRequest)
	case len(in.Records) == 0:
		err = fmt.Errorf("%w: there is no record batch", kerr.InvalidRecord)
	}
	if err != nil {
		p.fill(out, partition.Appended{Base: -1, AppendTime: -1, LogStart: -1, Err: err})
		return
	}
	p.left.Add(1)
	log.Append(in.Records, lease, how, func(a partition.Appended) {
		p.fill(out, a)
		p.finished()
	})
}

func twice(partitions []kmsg.ProduceRequestTopicPartition, i int) bool {
	if len(partitions) == 1 {
		return false
	}
	for k := range partitions {
		if k != i && partitions[k].Partition == partitions[i].Partition {
			return true
		}
	}
	return false
}

// fill writes one partition's answer; each has a place of its own.
func (p *produced) fill(out *kmsg.ProduceResponseTopicPartition, a partition.Appended) {
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = a.Base, a.AppendTime, a.LogStart
	if a.Err == nil {
		return
	}
	out.ErrorCode = p.handlers.code(a.Err)
	if p.req.Version < 8 {
		return
	}
	out.ErrorMessage = message(a.Err)
	for _, flaw := range a.Records {
		record := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		record.RelativeOffset, record.ErrorMessage = flaw.Index, &flaw.Message
		out.ErrorRecords = append(out.ErrorRecords, record)
	}
}

func (p *produced) finished() {
	if p.left.Add(-1) == 0 {
		close(p.done)
	}
}

// finish waits until every append has its answer. It does not give up when the
// client hangs up: the bytes of its frame are in use until then.
func (p *produced) finish(ctx context.Context) Answer {
	p.wait(ctx)
	return Answer{Body: p.resp.AppendTo(nil)}
}

func (p *produced) wait(ctx context.Context) {
	select {
	case <-p.done:
	default:
		ctx.Done() // what is ready may go out meanwhile
		<-p.done
	}
}

var errUnanswered = errors.New("a Produce with acks=0 failed")

// silent answers nothing, and closes the connection if anything failed: there
// is no other way to tell.
func (p *produced) silent(ctx context.Context) Answer {
	p.wait(ctx)
	for _, t := range p.resp.Topics {
		for _, out := range t.Partitions {
			if out.ErrorCode != 0 {
				return Answer{Close: fmt.Errorf("%w: %s", errUnanswered, kerr.ErrorForCode(out.ErrorCode))}
			}
		}
	}
	return Answer{Silent: true}
}

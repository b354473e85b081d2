package api

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/coordinator"
	"milena/machine/cluster"
	"milena/partition"
)

// orders is a cluster of one topic.
type orders struct{ coordinator.ClusterService }

func (orders) Topic(name string) (*cluster.Topic, bool) {
	return &cluster.Topic{Name: name, Partitions: 1}, true
}

// waits is a partition whose disk has not answered yet.
type waits struct {
	partition.Log
	done func(partition.Appended)
}

func (w *waits) Append(_ []byte, _ partition.Lease, _ partition.Append, done func(partition.Appended)) {
	w.done = done
}

// only is all partitions there are.
type only struct{ log partition.Log }

func (o only) Log(*cluster.Topic, int32) (partition.Log, bool) { return o.log, true }

// underWay is a Produce with acks that waits for the disk.
func underWay(t *testing.T, acks int16) (finish Finish, disk *waits) {
	t.Helper()
	disk = &waits{}
	h := New(Handlers{Logs: only{disk}, Cluster: orders{}, Log: slog.New(slog.DiscardHandler)})
	req := kmsg.NewPtrProduceRequest()
	one := kmsg.NewProduceRequestTopicPartition()
	one.Records = []byte("what the disk does not look at")
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "orders", append(topic.Partitions, one)
	req.Version, req.Acks, req.TimeoutMillis, req.Topics = 3, acks, 30_000, append(req.Topics, topic)
	finish, err := h.Start(&Session{}, Request{Key: 0, Version: 3, Body: req.AppendTo(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return finish, disk
}

// codeOf is the one error of an answer to version 3.
func codeOf(t *testing.T, a Answer) int16 {
	t.Helper()
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 3
	if err := resp.ReadFrom(a.Body); err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}

func TestAProduceIsAnsweredByWhatBecameOfItThoughTheBrokerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish, disk := underWay(t, 1)
		stopped, stop := context.WithCancel(context.Background())
		stop()
		go func() {
			time.Sleep(produceStopWait / 2)
			disk.done(partition.Appended{Base: 7})
		}()
		a := finish(stopped)
		if code := codeOf(t, a); code != 0 {
			t.Fatalf("a durable batch is answered %v", kerr.ErrorForCode(code))
		}
		a.Release()
	})
}

func TestAStopDoesNotWaitForADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish, _ := underWay(t, 1)
		stopped, stop := context.WithCancel(context.Background())
		began := time.Now()
		stop()
		if code := codeOf(t, finish(stopped)); code != kerr.RequestTimedOut.Code {
			t.Errorf("answered %v", kerr.ErrorForCode(code))
		}
		if took := time.Since(began); took != produceStopWait {
			t.Errorf("it took %v, want %v", took, produceStopWait)
		}
	})
}

func TestAllAcksWaitForTheDisk(t *testing.T) {
	for _, acks := range []int16{-1, 1, 0} {
		synctest.Test(t, func(t *testing.T) {
			finish, disk := underWay(t, acks)
			answers := make(chan Answer, 1)
			go func() { answers <- finish(context.Background()) }()
			time.Sleep(time.Second)
			select {
			case <-answers:
				t.Errorf("acks=%d: answered before the batch was durable", acks)
				return
			default:
			}
			disk.done(partition.Appended{Base: 7})
			a := <-answers
			if a.Silent != (acks == 0) || a.Close != nil {
				t.Errorf("acks=%d: silent %t, %v", acks, a.Silent, a.Close)
			}
			if acks != 0 && binary.BigEndian.Uint64(a.Body[len(a.Body)-20:]) != 7 {
				t.Errorf("acks=%d: %x", acks, a.Body)
			}
		})
	}
}

// There is no other way to tell who asked for no answer.
func TestAFailureWithoutAcksClosesTheConnection(t *testing.T) {
	finish, disk := underWay(t, 0)
	disk.done(partition.Appended{Err: kerr.KafkaStorageError})
	if a := finish(context.Background()); a.Close == nil {
		t.Error("it is not closed")
	}
}

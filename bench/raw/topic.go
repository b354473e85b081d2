package raw

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	usableTimeout = 2 * time.Minute
	retryEvery    = 2 * time.Millisecond
	adminMillis   = 60_000
)

// MakeTopic creates a topic and waits until every partition answers: an answer
// alone does not mean that it can be used.
func MakeTopic(address, name string, partitions int, configs map[string]string) error {
	c, err := Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 4, adminMillis
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), 1
	for key, value := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, &value
		topic.Configs = append(topic.Configs, config)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := c.Ask(req)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return c.WaitUsable(name, partitions)
}

// WaitUsable asks for the end of every partition until all answer.
func (c *Conn) WaitUsable(name string, partitions int) error {
	for deadline := time.Now().Add(usableTimeout); ; time.Sleep(retryEvery) {
		_, err := c.Ends(name, partitions)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not usable after %v: %w", name, usableTimeout, err)
		}
	}
}

// Ends gives the end of every partition.
func (c *Conn) Ends(name string, partitions int) ([]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 4, -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = name
	for p := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp, partition.CurrentLeaderEpoch = int32(p), -1, -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := c.Ask(req)
	if err != nil {
		return nil, err
	}
	ends, seen := make([]int64, partitions), 0
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			ends[p.Partition] = p.Offset
			seen++
		}
	}
	if seen != partitions {
		return nil, fmt.Errorf("%d of %d partitions answered", seen, partitions)
	}
	return ends, nil
}

// DeleteTopic asks for a topic to be deleted.
func DeleteTopic(address, name string) error {
	c, err := Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 3, adminMillis
	req.TopicNames = []string{name}
	resp, err := c.Ask(req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
}

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dialTimeout = 5 * time.Second
	frameMax    = 256 << 20
)

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID("load"))

// conn is one connection: frames out, frames in, in order.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(address string) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

// frame encodes a request with its length in front.
func frame(r kmsg.Request, correlation int32) []byte {
	return formatter.AppendRequest(nil, r, correlation)
}

// body reads the next answer's frame into buf, and gives what is behind the
// correlation id.
func (c *conn) body(buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n < 4 || n > frameMax {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.in, buf); err != nil {
		return nil, err
	}
	return buf[4:], nil
}

// ask sends a request and decodes its answer.
func (c *conn) ask(r kmsg.Request) (kmsg.Response, error) {
	if _, err := c.Write(frame(r, 1)); err != nil {
		return nil, err
	}
	body, err := c.body(nil)
	if err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	if resp.IsFlexible() && r.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// makeTopic creates a topic and waits until every partition has a leader and
// answers.
func makeTopic(address, name string, partitions int, configs map[string]string) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 5, 60_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), 1
	for key, value := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, &value
		topic.Configs = append(topic.Configs, config)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := c.ask(req)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return waitUsable(c, name, partitions)
}

// waitUsable asks for the end of every partition until all answer.
func waitUsable(c *conn, name string, partitions int) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
		ends, err := listEnds(c, name, partitions)
		if err == nil && len(ends) == partitions {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not usable after 2 minutes: %w", name, err)
		}
	}
}

func listEnds(c *conn, name string, partitions int) ([]int64, error) {
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
	resp, err := c.ask(req)
	if err != nil {
		return nil, err
	}
	var ends []int64
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			ends = append(ends, p.Offset)
		}
	}
	return ends, nil
}

func deleteTopic(address, name string) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 3, 60_000
	req.TopicNames = []string{name}
	_, err = c.ask(req)
	return err
}

package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/config"
	"milena/machine/cluster"
)

const partitionsMax = 10_000 // of one CreateTopics request

func newTopicID() (id [16]byte) {
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// createTopics makes topics. They are usable when it answers.
//
// v0-7: v1 may only validate, v4 has defaults, v5 is flexible and answers what
// was made, v7 with its id.
func (h *Handlers) createTopics(ctx context.Context, _ *Session, req *kmsg.CreateTopicsRequest) answer {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	names := make(map[string]int)
	total := int64(0)
	for i := range req.Topics {
		names[req.Topics[i].Topic]++
		total += max(int64(req.Topics[i].NumPartitions), int64(len(req.Topics[i].ReplicaAssignment)), 1)
	}
	var wanted []cluster.NewTopic
	var spots []int
	told := make(map[string]bool)
	for i := range req.Topics {
		in := &req.Topics[i]
		if told[in.Topic] {
			continue
		}
		told[in.Topic] = true
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		topic, err := h.newTopic(in)
		switch {
		case names[in.Topic] > 1:
			err = fmt.Errorf("%w: Duplicate topic name.", kerr.InvalidRequest)
		case total > partitionsMax:
			err = fmt.Errorf("%w: a request may ask for %d partitions in all, this one asks for %d", kerr.InvalidPartitions, partitionsMax, total)
		}
		if err == nil {
			wanted = append(wanted, topic)
			spots = append(spots, len(resp.Topics))
		}
		h.refuseTopic(&out, err)
		resp.Topics = append(resp.Topics, out)
	}
	if len(wanted) == 0 {
		return body{resp}
	}
	made, errs := h.Cluster.CreateTopics(ctx, wanted, req.ValidateOnly)
	for i, spot := range spots {
		out := &resp.Topics[spot]
		h.refuseTopic(out, errs[i])
		if errs[i] == nil {
			h.describeMade(out, made[i], req.ValidateOnly)
		}
	}
	return body{resp}
}

func (h *Handlers) refuseTopic(out *kmsg.CreateTopicsResponseTopic, err error) {
	out.ErrorCode, out.ErrorMessage = h.code(err), message(err)
	if err != nil {
		out.NumPartitions, out.ReplicationFactor = -1, -1
	}
}

func (h *Handlers) describeMade(out *kmsg.CreateTopicsResponseTopic, t *cluster.Topic, validated bool) {
	if !validated {
		out.TopicID = t.ID
		h.noteMade(t)
	}
	out.NumPartitions, out.ReplicationFactor = t.Partitions, 1
	for _, e := range h.Configs.DescribeTopic(t.Configs) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
		out.Configs = append(out.Configs, c)
	}
}

// noteMade writes into the log what a topic asked for and does not get.
func (h *Handlers) noteMade(t *cluster.Topic) {
	if t.Replication > 1 {
		h.Log.Info("a topic asked for more replicas than the one that is kept", "topic", t.Name, "asked", t.Replication)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		if note := config.TopicNote(name, t.Configs[name]); note != "" {
			h.Log.Info("a topic set a configuration", "topic", t.Name, "key", name, "value", t.Configs[name], "note", note)
		}
	}
}

// newTopic checks what needs no state: name, counts, assignment, configurations.
func (h *Handlers) newTopic(in *kmsg.CreateTopicsRequestTopic) (cluster.NewTopic, error) {
	t := cluster.NewTopic{Name: in.Topic, ID: newTopicID(), Partitions: in.NumPartitions, Replication: in.ReplicationFactor}
	if err := cluster.CheckName(in.Topic); err != nil {
		return t, err
	}
	if in.Topic == "__cluster_metadata" {
		return t, fmt.Errorf("%w: Creation of internal topic __cluster_metadata is prohibited.", kerr.InvalidRequest)
	}
	if len(in.ReplicaAssignment) > 0 {
		if err := h.assignment(in, &t); err != nil {
			return t, err
		}
	}
	switch {
	case t.Partitions == -1:
		t.Partitions = int32(h.Configs.Int("num.partitions"))
	case t.Partitions <= 0:
		return t, fmt.Errorf("%w: Number of partitions was set to an invalid non-positive value.", kerr.InvalidPartitions)
	}
	switch {
	case t.Replication == -1:
		t.Replication = 1
	case t.Replication <= 0:
		return t, fmt.Errorf("%w: Replication factor must be larger than 0, or -1 to use the default value.", kerr.InvalidReplicationFactor)
	}
	for _, c := range in.Configs {
		if err := h.Configs.CheckTopic(c.Name, c.Value); err != nil {
			return t, fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
		}
		if t.Configs == nil {
			t.Configs = make(map[string]string)
		}
		t.Configs[c.Name] = *c.Value
	}
	return t, nil
}

// assignment checks a manual one: only this broker can be named.
func (h *Handlers) assignment(in *kmsg.CreateTopicsRequestTopic, t *cluster.NewTopic) error {
	if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
		return fmt.Errorf("%w: A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.", kerr.InvalidRequest)
	}
	seen := make(map[int32]bool)
	for _, a := range in.ReplicaAssignment {
		seen[a.Partition] = true
		if len(a.Replicas) != 1 || a.Replicas[0] != h.Cluster.NodeID() {
			return fmt.Errorf("%w: the only broker is %d, and it keeps one copy", kerr.InvalidReplicaAssignment, h.Cluster.NodeID())
		}
	}
	for i := range int32(len(in.ReplicaAssignment)) {
		if !seen[i] {
			return fmt.Errorf("%w: partitions should be a consecutive 0-based integer sequence", kerr.InvalidReplicaAssignment)
		}
	}
	t.Partitions, t.Replication = int32(len(in.ReplicaAssignment)), 1
	return nil
}

// deleteTopics deletes topics by name, or from v6 by id.
//
// v0-6: v4 is flexible, v5 has messages.
func (h *Handlers) deleteTopics(ctx context.Context, _ *Session, req *kmsg.DeleteTopicsRequest) answer {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	wanted := req.Topics
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		wanted = append(wanted, t)
	}
	times := make(map[string]int)
	for _, t := range wanted {
		times[topicKey(t)]++
	}
	for _, t := range wanted {
		if times[topicKey(t)] < 0 {
			continue
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		var err error
		if times[topicKey(t)] > 1 {
			times[topicKey(t)] = -1
			err = fmt.Errorf("%w: Duplicate topic name.", kerr.InvalidRequest)
		} else {
			err = h.deleteTopic(ctx, t, &out)
		}
		out.ErrorCode, out.ErrorMessage = h.code(err), message(err)
		resp.Topics = append(resp.Topics, out)
	}
	return body{resp}
}

func topicKey(t kmsg.DeleteTopicsRequestTopic) string {
	if t.Topic != nil {
		return "name " + *t.Topic
	}
	return "id " + string(t.TopicID[:])
}

func (h *Handlers) deleteTopic(ctx context.Context, t kmsg.DeleteTopicsRequestTopic, out *kmsg.DeleteTopicsResponseTopic) error {
	named, byID := t.Topic != nil, t.TopicID != [16]byte{}
	if named && byID {
		return fmt.Errorf("%w: You may not specify both topic name and topic id.", kerr.InvalidRequest)
	}
	if !named && !byID {
		return fmt.Errorf("%w: Neither topic name nor id were specified.", kerr.InvalidRequest)
	}
	var topic *cluster.Topic
	var ok bool
	if named {
		if topic, ok = h.Cluster.Topic(*t.Topic); !ok {
			return kerr.UnknownTopicOrPartition
		}
	} else if topic, ok = h.Cluster.TopicByID(t.TopicID); !ok {
		return kerr.UnknownTopicID
	}
	out.Topic, out.TopicID = &topic.Name, topic.ID
	return h.Cluster.DeleteTopic(ctx, topic.ID)
}

// Resource types of DescribeConfigs.
const (
	topicResource   = 2
	brokerResource  = 4
	metricsResource = 16
	groupResource   = 32
)

// describeConfigs shows configurations with their sources.
//
// v0-4: v1 has sources and synonyms, v3 documentation, v4 is flexible.
func (h *Handlers) describeConfigs(_ context.Context, _ *Session, req *kmsg.DescribeConfigsRequest) answer {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		in := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		entries, err := h.entries(in)
		out.ErrorCode, out.ErrorMessage = h.code(err), message(err)
		out.Configs = []kmsg.DescribeConfigsResponseResourceConfig{}
		for _, e := range entries {
			if len(in.ConfigNames) == 0 || contains(in.ConfigNames, e.Name) {
				out.Configs = append(out.Configs, describeEntry(req, e))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return body{resp}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func (h *Handlers) entries(in *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	switch in.ResourceType {
	case topicResource:
		topic, ok := h.Cluster.Topic(in.ResourceName)
		if !ok {
			if err := cluster.CheckName(in.ResourceName); err != nil {
				return nil, err
			}
			return nil, kerr.UnknownTopicOrPartition
		}
		return h.Configs.DescribeTopic(topic.Configs), nil
	case brokerResource:
		return h.brokerEntries(in.ResourceName)
	case groupResource:
		return h.Configs.DescribeGroup(), nil
	case metricsResource:
		return h.Configs.DescribeMetrics(), nil
	}
	return nil, kerr.InvalidRequest
}

// brokerEntries shows what this broker was started with. No name asks for what
// was set at run time for all brokers: nothing can be.
func (h *Handlers) brokerEntries(name string) ([]config.Entry, error) {
	if name == "" {
		return nil, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: Broker id must be an integer, but it is: %s", kerr.InvalidRequest, name)
	case int32(id) != h.Cluster.NodeID():
		return nil, fmt.Errorf("%w: Unexpected broker id, expected %d or empty string, but received %s", kerr.InvalidRequest, h.Cluster.NodeID(), name)
	}
	return h.Configs.DescribeBroker(), nil
}

func describeEntry(req *kmsg.DescribeConfigsRequest, e config.Entry) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Sensitive
	c.IsDefault, c.Source, c.ConfigType = e.Source == config.SourceDefault, kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Type)
	if req.IncludeDocumentation {
		doc := e.Doc
		c.Documentation = &doc
	}
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			one := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			one.Name, one.Value, one.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, one)
		}
	}
	return c
}

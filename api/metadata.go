package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/cluster"
)

// Which operations a user may do, as bits, where it may do all (KIP-430).
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	groupOperations   = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	operationsUnasked = -1 << 31
)

// internalTopic says that Kafka keeps a topic of this name for itself.
func internalTopic(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// metadata tells where this broker is, and which topics there are. A topic that
// is not there is made, if the broker and the client allow it, before the
// answer: some clients never ask again.
//
// v0-13: below v4 there is no flag, and the client allows it; v8 has
// operations, v9 is flexible, v10 has ids, v13 an error of its own.
func (h *Handlers) metadata(ctx context.Context, s *Session, req *kmsg.MetadataRequest) answer {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = h.Cluster.NodeID(), s.Advertised.Host, s.Advertised.Port
	resp.Brokers = append(resp.Brokers, broker)
	id := h.Cluster.ClusterID()
	resp.ClusterID, resp.ControllerID = &id, h.Cluster.NodeID()
	if req.Version >= 8 && req.Version <= 10 {
		resp.AuthorizedOperations = operationsUnasked
		if req.IncludeClusterAuthorizedOperations {
			resp.AuthorizedOperations = clusterOperations
		}
	}
	resp.Topics = []kmsg.MetadataResponseTopic{}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for _, t := range h.Cluster.Topics() {
			resp.Topics = append(resp.Topics, h.describeTopic(req, t))
		}
		return body{resp}
	}
	create := h.Configs.Bool("auto.create.topics.enable") && (req.Version < 4 || req.AllowAutoTopicCreation)
	seen := make(map[string]bool)
	for _, t := range req.Topics {
		if t.Topic != nil && *t.Topic != "" && seen[*t.Topic] {
			continue
		}
		if t.Topic != nil {
			seen[*t.Topic] = true
		}
		resp.Topics = append(resp.Topics, h.topicMetadata(ctx, req, t, create))
	}
	return body{resp}
}

func (h *Handlers) topicMetadata(ctx context.Context, req *kmsg.MetadataRequest, t kmsg.MetadataRequestTopic, create bool) kmsg.MetadataResponseTopic {
	topic, err := h.findTopic(ctx, t, create)
	if err == nil {
		return h.describeTopic(req, topic)
	}
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.ErrorCode = t.Topic, t.TopicID, h.code(err)
	if out.Topic == nil && req.Version < 12 {
		empty := ""
		out.Topic = &empty
	}
	out.AuthorizedOperations = operationsUnasked
	out.Partitions = []kmsg.MetadataResponseTopicPartition{}
	return out
}

func (h *Handlers) findTopic(ctx context.Context, t kmsg.MetadataRequestTopic, create bool) (*cluster.Topic, error) {
	switch {
	case t.TopicID != [16]byte{}:
		topic, ok := h.Cluster.TopicByID(t.TopicID)
		if !ok {
			return nil, kerr.UnknownTopicID
		}
		return topic, nil
	case t.Topic == nil:
		return nil, kerr.InvalidRequest
	}
	if topic, ok := h.Cluster.Topic(*t.Topic); ok {
		return topic, nil
	}
	if err := cluster.CheckName(*t.Topic); err != nil {
		return nil, err
	}
	if !create || internalTopic(*t.Topic) {
		return nil, kerr.UnknownTopicOrPartition
	}
	return h.autoCreate(ctx, *t.Topic)
}

// autoCreate makes a topic that was asked for, with the broker's defaults.
func (h *Handlers) autoCreate(ctx context.Context, name string) (*cluster.Topic, error) {
	topics, errs := h.Cluster.CreateTopics(ctx, []cluster.NewTopic{{
		Name: name, ID: newTopicID(), Partitions: int32(h.Configs.Int("num.partitions")), Replication: 1,
	}}, false)
	if errors.Is(errs[0], kerr.TopicAlreadyExists) { // somebody was faster
		if topic, ok := h.Cluster.Topic(name); ok {
			return topic, nil
		}
	}
	if errs[0] == nil {
		h.Log.Info("topic made because it was asked for", "topic", name, "partitions", topics[0].Partitions)
		if topic, ok := h.Cluster.Topic(name); ok {
			return topic, nil
		}
	}
	return topics[0], errs[0]
}

func (h *Handlers) describeTopic(req *kmsg.MetadataRequest, t *cluster.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	name := t.Name
	out.Topic, out.TopicID, out.IsInternal = &name, t.ID, internalTopic(name)
	out.AuthorizedOperations = operationsUnasked
	if req.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = topicOperations
	}
	node := []int32{h.Cluster.NodeID()}
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Default()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), node[0], t.Epoch
		p.Replicas, p.ISR, p.OfflineReplicas = node, node, []int32{}
	}
	return out
}

// describeCluster tells where this broker is.
//
// v0-2: v1 asks for brokers or controllers, v2 for fenced brokers.
func (h *Handlers) describeCluster(_ context.Context, s *Session, req *kmsg.DescribeClusterRequest) answer {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.EndpointType = req.EndpointType
	resp.ClusterAuthorizedOperations = operationsUnasked
	if req.Version >= 1 && req.EndpointType != 1 {
		text := "Unsupported endpoint type " + string(rune('0'+req.EndpointType%10))
		if req.EndpointType == 2 {
			text = "The controllers' endpoint is not served: there is one node"
			resp.ErrorCode = kerr.MismatchedEndpointType.Code
		} else {
			resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		}
		resp.ErrorMessage, resp.ControllerID = &text, -1
		return body{resp}
	}
	resp.ClusterID, resp.ControllerID = h.Cluster.ClusterID(), h.Cluster.NodeID()
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	broker := kmsg.NewDescribeClusterResponseBroker()
	broker.NodeID, broker.Host, broker.Port = h.Cluster.NodeID(), s.Advertised.Host, s.Advertised.Port
	resp.Brokers = append(resp.Brokers, broker)
	return body{resp}
}

// findCoordinator names this broker: it coordinates every group.
//
// v0-6: v1 has types, v3 is flexible, v4 asks for many keys.
func (h *Handlers) findCoordinator(_ context.Context, s *Session, req *kmsg.FindCoordinatorRequest) answer {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	var err error
	if req.Version >= 1 && req.CoordinatorType != 0 {
		err = kerr.InvalidRequest
	}
	code, node, at := int16(0), h.Cluster.NodeID(), s.Advertised
	none := "NONE" // what Kafka says up to v3 when nothing is wrong
	text := &none
	if req.Version >= 4 {
		text = nil
	}
	if err != nil {
		code, node, at, text = h.code(err), -1, Address{Port: -1}, message(err)
	}
	if req.Version < 4 {
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = code, text, node, at.Host, at.Port
		return body{resp}
	}
	for _, key := range req.CoordinatorKeys {
		one := kmsg.NewFindCoordinatorResponseCoordinator()
		one.Key, one.ErrorCode, one.ErrorMessage, one.NodeID, one.Host, one.Port = key, code, text, node, at.Host, at.Port
		resp.Coordinators = append(resp.Coordinators, one)
	}
	return body{resp}
}

package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/api"
	"milena/batch"
)

// Every version of every API that is advertised is asked once, in the way in
// which its clients ask. It must be read, done, answered without an error, and
// its answer must be what the codec would have written.

// caller speaks to one listener. A failure ends its test.
type caller struct {
	t     *testing.T
	c     net.Conn
	id    int32
	topic kmsg.MetadataResponseTopic // one that is there
}

const callTime = time.Minute

func call(t *testing.T, s *Server, listener string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", s.Addresses()[listener])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &caller{t: t, c: c}
}

// send sends a request in a version of its API.
func (c *caller) send(req kmsg.Request, version int16) {
	c.t.Helper()
	c.id++
	req.SetVersion(version)
	c.c.SetDeadline(time.Now().Add(callTime))
	if _, err := c.c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("versions")).AppendRequest(nil, req, c.id)); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a request, and gives the answer to it.
func (c *caller) ask(req kmsg.Request, version int16) kmsg.Response {
	c.t.Helper()
	c.send(req, version)
	var size [4]byte
	if _, err := io.ReadFull(c.c, size[:]); err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.c, answer); err != nil {
		c.t.Fatalf("half an answer: %v", err)
	}
	if got := int32(binary.BigEndian.Uint32(answer)); got != c.id {
		c.t.Fatalf("an answer to request %d, not %d", got, c.id)
	}
	resp := req.ResponseKind()
	body := answer[4:]
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if body[0] != 0 {
			c.t.Fatalf("%d tags in the header", body[0])
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("an answer that can't be read: %v", err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		c.t.Errorf("the answer is\n%x, the codec would write\n%x", body, again)
	}
	return resp
}

// mustAsk is ask, of an answer without any error.
func (c *caller) mustAsk(req kmsg.Request, version int16) kmsg.Response {
	c.t.Helper()
	resp := c.ask(req, version)
	for where, code := range codes(reflect.ValueOf(resp).Elem(), "") {
		c.t.Errorf("%s: %v", where, kerr.ErrorForCode(code))
	}
	return resp
}

// codes gives all errors of an answer, by field.
func codes(v reflect.Value, where string) map[string]int16 {
	found := make(map[string]int16)
	add := func(v reflect.Value, where string) {
		for where, code := range codes(v, where) {
			found[where] = code
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := where + "." + v.Type().Field(i).Name
			if v.Type().Field(i).Name == "ErrorCode" && v.Field(i).Int() != 0 {
				found[name] = int16(v.Field(i).Int())
				continue
			}
			add(v.Field(i), name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			add(v.Index(i), fmt.Sprintf("%s[%d]", where, i))
		}
	}
	return found
}

func (c *caller) produce(version int16) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	one := kmsg.NewProduceRequestTopicPartition()
	one.Records = new(batch.Builder).Add(1_700_000_000_000, nil, []byte("v")).Build()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = *c.topic.Topic, c.topic.TopicID, append(topic.Partitions, one)
	req.Topics = append(req.Topics, topic)
	if version < 3 { // the older message formats are not served, the advertisement is Kafka's
		c.send(req, version)
		if _, err := c.c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			c.t.Errorf("not closed: %v", err)
		}
		return
	}
	resp := c.mustAsk(req, version).(*kmsg.ProduceResponse)
	if n := len(resp.Topics); n != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.t.Errorf("%d topics", n)
	}
}

func (c *caller) fetch(version int16) {
	c.produce(9)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 10_000, 1, 1<<20
	one := kmsg.NewFetchRequestTopicPartition()
	one.PartitionMaxBytes, one.CurrentLeaderEpoch = 1<<20, c.topic.Partitions[0].LeaderEpoch
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = *c.topic.Topic, c.topic.TopicID, append(topic.Partitions, one)
	req.Topics = append(req.Topics, topic)
	resp := c.mustAsk(req, version).(*kmsg.FetchResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		c.t.Errorf("nothing was fetched: %+v", resp)
	}
}

func (c *caller) listOffsets(version int16) {
	c.produce(9)
	for _, at := range []int64{-1, -2, 1_700_000_000_000} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Timestamp, one.MaxNumOffsets, one.CurrentLeaderEpoch = at, 2, -1
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = *c.topic.Topic, append(topic.Partitions, one)
		req.Topics = append(req.Topics, topic)
		got := c.mustAsk(req, version).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if version == 0 && len(got.OldStyleOffsets) == 0 || version > 0 && (got.Offset < 0 || (got.Offset == 0) == (at == -1)) {
			c.t.Errorf("time %d: %+v", at, got)
		}
	}
}

func (c *caller) metadata(version int16) {
	req := kmsg.NewPtrMetadataRequest()
	name := fmt.Sprintf("made-by-metadata-%d", version)
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &name
	req.Topics, req.AllowAutoTopicCreation = append(req.Topics, one), true
	resp := c.mustAsk(req, version).(*kmsg.MetadataResponse)
	if len(resp.Brokers) != 1 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) commit(group string, version int16) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	one := kmsg.NewOffsetCommitRequestTopicPartition()
	one.Offset, one.LeaderEpoch = 7, -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = *c.topic.Topic, c.topic.TopicID, append(topic.Partitions, one)
	req.Topics = append(req.Topics, topic)
	if resp := c.mustAsk(req, version).(*kmsg.OffsetCommitResponse); len(resp.Topics) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) fetchOffset(version int16) {
	c.commit("fetches-offsets", 8)
	req := kmsg.NewPtrOffsetFetchRequest()
	if version < 8 {
		topic := kmsg.NewOffsetFetchRequestTopic()
		topic.Topic, topic.Partitions = *c.topic.Topic, []int32{0}
		req.Group, req.Topics = "fetches-offsets", append(req.Topics, topic)
		resp := c.mustAsk(req, version).(*kmsg.OffsetFetchResponse)
		if len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].Offset != 7 {
			c.t.Errorf("%+v", resp)
		}
		return
	}
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = *c.topic.Topic, c.topic.TopicID, []int32{0}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, group.Topics = "fetches-offsets", append(group.Topics, topic)
	req.Groups = append(req.Groups, group)
	resp := c.mustAsk(req, version).(*kmsg.OffsetFetchResponse)
	if len(resp.Groups) != 1 || resp.Groups[0].Topics[0].Partitions[0].Offset != 7 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) findCoordinator(version int16) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = "g", []string{"g", "h"}
	resp := c.mustAsk(req, version).(*kmsg.FindCoordinatorResponse)
	if version < 4 && resp.Port == 0 || version >= 4 && (len(resp.Coordinators) != 2 || resp.Coordinators[1].Port == 0) {
		c.t.Errorf("%+v", resp)
	}
}

// join joins a group of its own, and gives the member's id.
func (c *caller) join(group string, version int16) string {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = group, 10_000, 10_000, "consumer"
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	req.Protocols = append(req.Protocols, protocol)
	if version >= 4 {
		first := c.ask(req, version).(*kmsg.JoinGroupResponse)
		if first.ErrorCode != kerr.MemberIDRequired.Code || first.MemberID == "" {
			c.t.Errorf("who has no id yet is told %q and %v", first.MemberID, kerr.ErrorForCode(first.ErrorCode))
		}
		req.MemberID = first.MemberID
	}
	resp := c.mustAsk(req, version).(*kmsg.JoinGroupResponse)
	if resp.Generation != 1 || resp.LeaderID != resp.MemberID || len(resp.Members) != 1 {
		c.t.Errorf("%+v", resp)
	}
	return resp.MemberID
}

func (c *caller) sync(group, member string, version int16) {
	req := kmsg.NewPtrSyncGroupRequest()
	kind, protocol := "consumer", "range"
	req.Group, req.MemberID, req.Generation, req.ProtocolType, req.Protocol = group, member, 1, &kind, &protocol
	one := kmsg.NewSyncGroupRequestGroupAssignment()
	one.MemberID, one.MemberAssignment = member, []byte("yours")
	req.GroupAssignment = append(req.GroupAssignment, one)
	if resp := c.mustAsk(req, version).(*kmsg.SyncGroupResponse); string(resp.MemberAssignment) != "yours" {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) heartbeat(version int16) {
	group := fmt.Sprint("beats-", version)
	member := c.join(group, 5)
	c.sync(group, member, 3)
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, 1
	c.mustAsk(req, version)
}

func (c *caller) leave(version int16) {
	group := fmt.Sprint("leaves-", version)
	member := c.join(group, 5)
	c.sync(group, member, 3)
	req := kmsg.NewPtrLeaveGroupRequest()
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = member
	req.Group, req.MemberID, req.Members = group, member, append(req.Members, one)
	if resp := c.mustAsk(req, version).(*kmsg.LeaveGroupResponse); version >= 3 && len(resp.Members) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) describeGroup(version int16) {
	group := fmt.Sprint("described-", version)
	member := c.join(group, 5)
	c.sync(group, member, 3)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	resp := c.mustAsk(req, version).(*kmsg.DescribeGroupsResponse)
	if len(resp.Groups) != 1 || resp.Groups[0].State != "Stable" || len(resp.Groups[0].Members) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) listGroups(version int16) {
	c.commit("listed", 8)
	req := kmsg.NewPtrListGroupsRequest()
	if resp := c.mustAsk(req, version).(*kmsg.ListGroupsResponse); len(resp.Groups) == 0 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) deleteGroup(version int16) {
	group := fmt.Sprint("deleted-", version)
	c.commit(group, 8)
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	if resp := c.mustAsk(req, version).(*kmsg.DeleteGroupsResponse); len(resp.Groups) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) apiVersions(version int16) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "versions", "1.0"
	resp := c.mustAsk(req, version).(*kmsg.ApiVersionsResponse)
	if len(resp.ApiKeys) == 0 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) createTopic(name string, version int16) *kmsg.CreateTopicsResponse {
	req := kmsg.NewPtrCreateTopicsRequest()
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = name, 2, 3
	req.Topics, req.TimeoutMillis = append(req.Topics, one), 10_000
	return c.mustAsk(req, version).(*kmsg.CreateTopicsResponse)
}

func (c *caller) createTopics(version int16) {
	resp := c.createTopic(fmt.Sprint("created-", version), version)
	if len(resp.Topics) != 1 || version >= 5 && (resp.Topics[0].NumPartitions != 2 || resp.Topics[0].ReplicationFactor != 1) {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) deleteTopics(version int16) {
	name := fmt.Sprint("deleted-", version)
	made := c.createTopic(name, 7).Topics[0]
	req := kmsg.NewPtrDeleteTopicsRequest()
	one := kmsg.NewDeleteTopicsRequestTopic()
	one.TopicID = made.TopicID
	req.TopicNames, req.Topics = []string{name}, append(req.Topics, one)
	if resp := c.mustAsk(req, version).(*kmsg.DeleteTopicsResponse); len(resp.Topics) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) initProducerID(version int16) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	if resp := c.mustAsk(req, version).(*kmsg.InitProducerIDResponse); resp.ProducerID < 0 || resp.ProducerEpoch != 0 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) describeConfigs(version int16) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	topic, broker := kmsg.NewDescribeConfigsRequestResource(), kmsg.NewDescribeConfigsRequestResource()
	topic.ResourceType, topic.ResourceName = kmsg.ConfigResourceTypeTopic, *c.topic.Topic
	broker.ResourceType, broker.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	req.Resources, req.IncludeSynonyms, req.IncludeDocumentation = append(req.Resources, topic, broker), true, true
	resp := c.mustAsk(req, version).(*kmsg.DescribeConfigsResponse)
	if len(resp.Resources) != 2 || len(resp.Resources[0].Configs) < 30 || len(resp.Resources[1].Configs) < 30 {
		c.t.Errorf("%d resources", len(resp.Resources))
	}
}

func (c *caller) describeCluster(version int16) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = 1
	if resp := c.mustAsk(req, version).(*kmsg.DescribeClusterResponse); len(resp.Brokers) != 1 || resp.ClusterID == "" {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) alterUser(version int16) {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	one := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	one.Name, one.Mechanism, one.Iterations, one.Salt, one.SaltedPassword = "ada", 1, 4096, []byte("salt"), make([]byte, 32)
	req.Upsertions = append(req.Upsertions, one)
	if resp := c.mustAsk(req, version).(*kmsg.AlterUserSCRAMCredentialsResponse); len(resp.Results) != 1 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) describeUser(version int16) {
	c.alterUser(0)
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	if resp := c.mustAsk(req, version).(*kmsg.DescribeUserSCRAMCredentialsResponse); len(resp.Results) == 0 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) handshake(version int16) {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = "PLAIN"
	if resp := c.mustAsk(req, version).(*kmsg.SASLHandshakeResponse); len(resp.SupportedMechanisms) != 3 {
		c.t.Errorf("%+v", resp)
	}
}

func (c *caller) authenticate(version int16) {
	c.handshake(1)
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte("\x00admin\x00" + versionsPassword)
	c.mustAsk(req, version)
	c.apiVersions(3) // which is no longer what comes before a login
}

const versionsPassword = "a password of this test"

// way is how a version of an API is asked.
type way struct {
	listener string
	ask      func(c *caller, version int16)
}

func ways() map[int16]way {
	plain := func(ask func(*caller, int16)) way { return way{"PLAINTEXT", ask} }
	return map[int16]way{
		0: plain((*caller).produce), 1: plain((*caller).fetch), 2: plain((*caller).listOffsets), 3: plain((*caller).metadata),
		8: plain(func(c *caller, v int16) { c.commit(fmt.Sprint("commits-", v), v) }),
		9: plain((*caller).fetchOffset), 10: plain((*caller).findCoordinator),
		11: plain(func(c *caller, v int16) { c.join(fmt.Sprint("joins-", v), v) }), 12: plain((*caller).heartbeat), 13: plain((*caller).leave),
		14: plain(func(c *caller, v int16) {
			group := fmt.Sprint("syncs-", v)
			c.sync(group, c.join(group, 5), v)
		}),
		15: plain((*caller).describeGroup), 16: plain((*caller).listGroups), 17: {"SASL_PLAINTEXT", (*caller).handshake},
		18: plain((*caller).apiVersions), 19: plain((*caller).createTopics), 20: plain((*caller).deleteTopics), 22: plain((*caller).initProducerID),
		32: plain((*caller).describeConfigs), 36: {"SASL_PLAINTEXT", (*caller).authenticate}, 42: plain((*caller).deleteGroup),
		50: plain((*caller).describeUser), 51: plain((*caller).alterUser), 60: plain((*caller).describeCluster),
	}
}

// both is an instance whose ANONYMOUS may do all, and whose admin can sign in.
func both(t *testing.T) *Server {
	t.Helper()
	s := start(t, Options{Secure: true, Admin: "admin", AdminPassword: versionsPassword, Memory: true, Config: configure(t, t.TempDir(),
		"listeners", "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "super.users", "User:ANONYMOUS;User:admin")})
	t.Cleanup(func() { stop(t, s) })
	return s
}

func TestEveryAdvertisedVersionIsServed(t *testing.T) {
	s := both(t)
	setUp := call(t, s, "PLAINTEXT")
	asks := ways()
	req := kmsg.NewPtrMetadataRequest()
	name := "orders"
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &name
	req.Topics, req.AllowAutoTopicCreation = append(req.Topics, one), true
	topic := setUp.mustAsk(req, 12).(*kmsg.MetadataResponse).Topics[0]
	for _, served := range advertised(setUp) {
		how, ok := asks[served.Key]
		if !ok {
			t.Errorf("%s: nothing is known of how to ask for it", kmsg.NameForKey(served.Key))
			continue
		}
		for version := served.Min; version <= served.Max; version++ {
			t.Run(fmt.Sprintf("%s/%d", kmsg.NameForKey(served.Key), version), func(t *testing.T) {
				c := call(t, s, how.listener)
				c.topic = topic
				how.ask(c, version)
			})
		}
	}
}

// advertised is what clients are told.
func advertised(c *caller) []api.VersionRange {
	var served []api.VersionRange
	for _, k := range c.mustAsk(kmsg.NewPtrApiVersionsRequest(), 0).(*kmsg.ApiVersionsResponse).ApiKeys {
		served = append(served, api.VersionRange{Key: k.ApiKey, Min: k.MinVersion, Max: k.MaxVersion})
	}
	return served
}

func TestAVersionThatIsNotServedIsRefused(t *testing.T) {
	s := both(t)
	for _, served := range advertised(call(t, s, "PLAINTEXT")) {
		c := call(t, s, "PLAINTEXT")
		version := served.Max + 1
		head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(served.Key)), uint16(version))
		request := append(head, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0)
		c.c.SetDeadline(time.Now().Add(callTime))
		if served.Key == int16(kmsg.ApiVersions) {
			answer := ask(t, c.c, request)
			if !bytes.HasPrefix(answer, []byte{0, 0, 0, 9, 0, 35}) {
				t.Errorf("ApiVersions version %d is answered %x", version, answer)
			}
			continue
		}
		if _, err := c.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s version %d does not close the connection: %v", kmsg.NameForKey(served.Key), version, err)
		}
	}
}

func TestTransactionalRequestsAreRefusedAtOnce(t *testing.T) {
	s := both(t)
	c := call(t, s, "PLAINTEXT")
	c.createTopic("orders", 7)
	id := "pays"
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorType, find.CoordinatorKeys = id, 1, []string{id}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = &id, 1000
	produce := kmsg.NewPtrProduceRequest()
	one := kmsg.NewProduceRequestTopicPartition()
	one.Records = new(batch.Builder).Add(1_700_000_000_000, nil, []byte("v")).Build()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "orders", append(topic.Partitions, one)
	produce.TransactionID, produce.Acks, produce.Topics = &id, -1, append(produce.Topics, topic)
	for _, req := range []kmsg.Request{find, init, produce} {
		version := min(req.MaxVersion(), 9) // Produce by name
		got := codes(reflect.ValueOf(c.ask(req, version)).Elem(), "")
		if len(got) != 1 {
			t.Errorf("%s is refused %d times", kmsg.NameForKey(req.Key()), len(got))
		}
		for _, code := range got {
			if code != kerr.InvalidRequest.Code {
				t.Errorf("%s is refused with %v", kmsg.NameForKey(req.Key()), kerr.ErrorForCode(code))
			}
		}
	}
}

// A client may take other errors for the end of everything.
func TestAMemberThatWaitsIsSentElsewhereWhenTheBrokerStops(t *testing.T) {
	s := start(t, Options{Memory: true, Config: configure(t, t.TempDir(), "group.initial.rebalance.delay.ms", "60000")})
	c := call(t, s, "PLAINTEXT")
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = "g", 60_000, 60_000, "consumer"
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	req.Protocols = append(req.Protocols, protocol)
	go func() {
		groups := call(t, s, "PLAINTEXT")
		list := kmsg.NewPtrListGroupsRequest()
		for len(groups.mustAsk(list, 4).(*kmsg.ListGroupsResponse).Groups) == 0 {
			time.Sleep(time.Millisecond)
		}
		s.wire.Shutdown(t.Context()) //nolint:errcheck // Stop tells
	}()
	if resp := c.ask(req, 3).(*kmsg.JoinGroupResponse); resp.ErrorCode != kerr.NotCoordinator.Code {
		t.Errorf("answered %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	stop(t, s)
}

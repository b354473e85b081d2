package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/config"
	"milena/coordinator"
	"milena/partition"
)

// Handlers answers requests. Its fields are set before the first.
type Handlers struct {
	Logs    partition.Logs
	Groups  coordinator.GroupService
	Cluster coordinator.ClusterService
	Configs Configs
	Log     *slog.Logger

	rows     map[int16]row
	produces *sync.Pool // of *produced
}

// Configs is what handlers ask of the configuration.
type Configs interface {
	Int(key string) int64
	Bool(key string) bool
	CheckTopic(name string, value *string) error
	DescribeTopic(overrides map[string]string) []config.Entry
	DescribeBroker() []config.Entry
	DescribeGroup() []config.Entry
	DescribeMetrics() []config.Entry
}

// row is one API: its versions, and what starts a request of it.
type row struct {
	key, min, max int16
	start         func(h *Handlers, s *Session, r Request) (Finish, error)
}

// table is every API that is served, in order of key. Dispatch, ApiVersions and
// the compatibility page derive from it.
func table() []row {
	return []row{
		byHand(0, 0, 13, (*Handlers).produce),
		reply(4, 18, (*Handlers).fetch),
		reply(0, 11, (*Handlers).listOffsets),
		reply(0, 13, (*Handlers).metadata),
		reply(0, 10, (*Handlers).offsetCommit),
		reply(0, 10, (*Handlers).offsetFetch),
		reply(0, 6, (*Handlers).findCoordinator),
		reply(0, 9, (*Handlers).joinGroup),
		reply(0, 4, (*Handlers).heartbeat),
		reply(0, 5, (*Handlers).leaveGroup),
		reply(0, 5, (*Handlers).syncGroup),
		reply(0, 6, (*Handlers).describeGroups),
		reply(0, 5, (*Handlers).listGroups),
		elsewhere(17, 0, 1), // SaslHandshake: wire
		later(0, 5, (*Handlers).apiVersions),
		reply(0, 7, (*Handlers).createTopics),
		reply(0, 6, (*Handlers).deleteTopics),
		reply(0, 5, (*Handlers).initProducerID),
		reply(0, 4, (*Handlers).describeConfigs),
		elsewhere(36, 0, 2), // SaslAuthenticate: wire
		reply(0, 3, (*Handlers).deleteGroups),
		reply(0, 0, (*Handlers).describeUserSCRAM),
		reply(0, 0, (*Handlers).alterUserSCRAM),
		reply(0, 2, (*Handlers).describeCluster),
	}
}

// request is a kmsg request by its pointer.
type request[T any] interface {
	*T
	kmsg.Request
}

// answer is what a handler gives: a response, or something of its own.
type answer interface{ answer() Answer }

// body answers with a response.
type body struct{ kmsg.Response }

func (b body) answer() Answer {
	if b.Response == nil {
		return Answer{Silent: true}
	}
	return Answer{Body: b.AppendTo(nil)}
}

// reply is a row of an API that runs when its answer is due.
func reply[T any, P request[T]](min, max int16, handle func(*Handlers, context.Context, *Session, P) answer) row {
	return row{P(new(T)).Key(), min, max, func(h *Handlers, s *Session, r Request) (Finish, error) {
		req, err := decode[T, P](r)
		if err != nil {
			return nil, err
		}
		session := *s
		session.received = r.Received
		return func(ctx context.Context) Answer { return handle(h, ctx, &session, req).answer() }, nil
	}}
}

// later is a row of an API that does its work when it is started, and only
// answers later.
func later[T any, P request[T]](min, max int16, start func(*Handlers, *Session, P) answer) row {
	return row{P(new(T)).Key(), min, max, func(h *Handlers, s *Session, r Request) (Finish, error) {
		req, err := decode[T, P](r)
		if err != nil {
			return nil, err
		}
		answer := start(h, s, req)
		return func(context.Context) Answer { return answer.answer() }, nil
	}}
}

// byHand is a row of an API that reads its requests itself.
func byHand(key, min, max int16, start func(*Handlers, *Session, Request) (Finish, error)) row {
	return row{key, min, max, start}
}

// elsewhere is a row of an API that another room answers.
func elsewhere(key, min, max int16) row { return row{key: key, min: min, max: max} }

func decode[T any, P request[T]](r Request) (P, error) {
	req := P(new(T))
	req.SetVersion(r.Version)
	if err := req.ReadFrom(r.Body); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", kmsg.NameForKey(r.Key), r.Version, err)
	}
	return req, nil
}

var errNotServed = errors.New("not served")

// Start is part of Server.
func (h *Handlers) Start(s *Session, r Request) (Finish, error) {
	row, ok := h.rows[r.Key]
	if !ok || row.start == nil {
		return nil, fmt.Errorf("API %d: %w", r.Key, errNotServed)
	}
	if r.Version < row.min || r.Version > row.max {
		if r.Key == int16(kmsg.ApiVersions) {
			return h.unknownApiVersions(), nil
		}
		return nil, fmt.Errorf("%s version %d: %w; %d to %d are", kmsg.NameForKey(r.Key), r.Version, errNotServed, row.min, row.max)
	}
	return row.start(h, s, r)
}

// Versions is part of Server.
func (h *Handlers) Versions() []VersionRange {
	var versions []VersionRange
	for _, r := range table() {
		versions = append(versions, VersionRange{r.key, r.min, r.max})
	}
	return versions
}

// New makes handlers ready to serve.
func New(h Handlers) *Handlers {
	h.rows, h.produces = make(map[int16]row), newPool()
	for _, r := range table() {
		h.rows[r.key] = r
	}
	return &h
}

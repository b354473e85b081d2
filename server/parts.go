package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"milena/api"
	"milena/config"
	"milena/coordinator"
	"milena/machine/cluster"
	"milena/partition"
	"milena/storage/journal"
)

const groupSizeDefault = 1000 // members of one group

func (s *Server) partitionOptions() partition.Options {
	c := s.o.Config
	return partition.Options{
		Shards:         s.instance.ShardLogs,
		Store:          s.engines.store,
		Config:         func(t *cluster.Topic) config.Topic { return c.Topic(t.Configs) },
		Exists:         func(id [16]byte) bool { _, ok := s.cluster.TopicByID(id); return ok },
		Full:           s.space.Full,
		NoRoom:         s.space.settleNoRoom,
		ProducerExpiry: c.Millis("producer.id.expiration.ms"),
		CheckEvery:     max(c.Millis("log.retention.check.interval.ms"), time.Second),
		Now:            s.now,
		Log:            s.o.Log,
		Fail:           s.fail,
	}
}

func (s *Server) groupOptions() coordinator.GroupOptions {
	c := s.o.Config
	return coordinator.GroupOptions{
		Logs:       s.instance.CoordinatorLogs,
		SessionMin: c.Millis("group.min.session.timeout.ms"),
		SessionMax: c.Millis("group.max.session.timeout.ms"),
		Delay:      c.Millis("group.initial.rebalance.delay.ms"),
		SizeMax:    groupSizeDefault,
		Retention:  time.Duration(c.Int("offsets.retention.minutes")) * time.Minute,
		AutoCreate: c.Bool("auto.create.groups.enable"),
		Now:        s.now,
	}
}

// replay recovers every log, and says what is damaged. The cluster log's damage
// stops the start: without it nobody knows what there is.
func (s *Server) replay(ctx context.Context) error {
	began := time.Now()
	err := s.set.Recover(ctx)
	var damaged *journal.Damaged
	if errors.As(err, &damaged) {
		for _, hit := range damaged.Logs {
			if hit.Log == 0 {
				return &Error{exitStorage, fmt.Errorf("the cluster's log is damaged above place %d: %s; nothing was changed; see what is lost, and go on without it: milena repair --data %s", hit.Place, damaged.Reason, s.place.dir)}
			}
			s.o.Log.Error("a log is damaged: what is before the damage can be read, nothing is written to it; milena repair says what is lost", "log", hit.Log, "last good place", hit.Place, "why", damaged.Reason)
		}
	} else if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	s.o.Log.Debug("recovered", "took", time.Since(began))
	s.api = api.New(api.Handlers{Logs: s.table, Groups: s.groups, Cluster: s.cluster, Configs: s.o.Config, Log: s.o.Log})
	return nil
}

// drain answers what is under way and closes the listeners.
func (s *Server) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	return s.wire.Shutdown(ctx)
}

func (s *Server) card(took time.Duration) card {
	c := card{
		Version: s.o.Version, Listeners: s.listeners, Data: s.place.dir, Memory: s.o.Memory,
		OS: s.o.Config.String("durability") == "os", Secure: s.instance.Secure, Command: cmp.Or(s.o.Command, "milena"),
		User: s.made.name, Password: s.made.password, FromFile: s.made.fromFile, Ready: took.Round(time.Millisecond).String(),
	}
	if s.adminSocket != nil {
		c.Admin = s.adminSocket.Addr().String()
	}
	return c
}

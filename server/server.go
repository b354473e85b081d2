package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"milena/api"
	"milena/config"
	"milena/coordinator"
	"milena/keystore"
	"milena/machine/cluster"
	"milena/partition"
	"milena/shard"
	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/segment"
	"milena/wire"
)

// checkpointEvery is the longest that a changed instance goes without one; the
// journal asks for more when much is written.
const checkpointEvery = 60 * time.Second

// Server is an instance that runs.
type Server struct {
	o        Options
	now      clock
	place    place
	instance instance
	space    *space
	engines  engines

	set     *shard.Set
	cluster *coordinator.Cluster
	groups  *coordinator.Groups
	table   *partition.Table
	api     *api.Handlers
	wire    *wire.Server
	admin   *admin

	configured  []config.Listener // also by init, which opens none
	sockets     []wire.Listener
	adminSocket net.Listener

	certificates *keystore.Store // nil: no listener needs the instance's own
	renewing     sync.Mutex
	sources      map[string]*keystore.Source // by listener

	listeners []bound
	made      madeUser
	ready     atomic.Bool

	failed   chan struct{} // closed when storage fails
	failure  error         // written before failed is closed
	failOnce sync.Once

	background     sync.WaitGroup
	stopBackground context.CancelFunc
	undo           []func() error // what Stop does, last first
}

// Start builds an instance and starts it:
//
//	1 place     the data directory, locked, its instance file
//	2 bind      every listener, so that a taken port is told at once
//	3 engines   journal and segments
//	4 recover   every log's state
//	5 secure    certificate, first superuser
//	6 serve     groups' deadlines, settling, retention, then the listeners
func Start(ctx context.Context, o Options) (*Server, error) {
	s := newServer(o)
	steps := []func(context.Context) error{
		s.openPlace, s.bind, s.openEngines, s.recover, s.makeSecure, s.serve,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			s.tellUser() // it is there, whatever failed behind it
			return nil, errors.Join(err, s.unwind())
		}
	}
	return s, nil
}

func newServer(o Options) *Server {
	s := &Server{o: o, now: o.Now, failed: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// tellUser tells the password of a superuser that was made by a start that then
// failed: no later start would.
func (s *Server) tellUser() {
	if s.made.name != "" && s.o.Out != nil {
		s.card(0).printUser(s.o.Out)
	}
}

// later remembers how to undo what was just done.
func (s *Server) later(undo func() error) { s.undo = append(s.undo, undo) }

func (s *Server) unwind() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}

// Stop drains what is under way, saves a last checkpoint and lets go of
// everything. It gives what storage failed of, if it did.
func (s *Server) Stop() error {
	s.ready.Store(false)
	err := s.unwind()
	select {
	case <-s.failed:
		return &Error{exitStorage, s.failure}
	default:
		return err
	}
}

// fail ends the instance: storage failed, and nothing may be acknowledged any more.
func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = fmt.Errorf("storage failed, so nothing more is acknowledged: %w; look at the disk, then start again: what was acknowledged is there", err)
		s.o.Log.Error("storage failed: stopping", "err", err)
		close(s.failed)
	})
}

func (s *Server) openPlace(context.Context) (err error) {
	if s.place, err = openPlace(s.o); err != nil {
		return err
	}
	s.later(s.place.close)
	if s.o.disk != nil {
		s.place.fs = s.o.disk(s.place.fs)
	}
	s.instance, err = openInstance(s.place.fs, s.o.Secure)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", s.place.dir, err)
	}
	return nil
}

func (s *Server) openEngines(context.Context) (err error) {
	c := s.o.Config
	s.space = newSpace(s.place.fs, s.reserve(), s.unsettled, s.o.Log)
	s.engines, err = openEngines(s.place.fs, engineOptions{
		Memory: s.o.Memory,
		OS:     c.String("durability") == "os",
		Logs:   1 + s.instance.ShardLogs + s.instance.CoordinatorLogs,
		Bytes:  s.o.fileBytes,
		NoRoom: s.space.journalNoRoom,
		Broken: s.fail,
		Now:    s.now,
		Log:    s.o.Log,
	})
	if err != nil {
		return err
	}
	s.later(s.engines.close)
	return nil
}

func (s *Server) reserve() int64 {
	if s.o.Memory {
		return 0
	}
	if s.o.Config.IsSet("disk.reserve.bytes") {
		return s.o.Config.Int("disk.reserve.bytes")
	}
	return -1
}

func (s *Server) unsettled() int64 {
	if s.table == nil {
		return 0
	}
	return s.table.Stats().Unsettled
}

// recover makes the states of all logs and brings them to where the journal ends.
func (s *Server) recover(ctx context.Context) error {
	if err := s.makeStates(); err != nil {
		return err
	}
	return s.replay(ctx)
}

func (s *Server) makeStates() error {
	c := s.o.Config
	superusers, err := coordinator.Superusers(c.String("super.users"))
	if err != nil {
		return &Error{exitUsage, err}
	}
	s.cluster = coordinator.NewCluster(coordinator.ClusterOptions{
		ID:         s.instance.ClusterID,
		NodeID:     int32(c.Int("node.id")),
		Superusers: superusers,
		Now:        s.now,
		Drop:       s.drop,
		Log:        s.o.Log,
	})
	s.table = partition.NewTable(s.partitionOptions())
	s.groups = coordinator.NewGroups(s.groupOptions())

	states := append([]shard.State{s.cluster.State()}, s.table.States()...)
	states = append(states, s.groups.States()...)
	s.set = shard.NewSet(s.engines.journal, states)

	shards, coordinators := make([]*shard.Log, s.instance.ShardLogs), make([]*shard.Log, s.instance.CoordinatorLogs)
	for i := range shards {
		shards[i] = s.set.Log(1 + i)
	}
	for i := range coordinators {
		coordinators[i] = s.set.Log(1 + s.instance.ShardLogs + i)
	}
	s.cluster.Attach(s.set.Log(0))
	s.table.Attach(shards)
	s.groups.Attach(coordinators)
	return nil
}

// drop removes what belongs to a deleted topic.
func (s *Server) drop(ctx context.Context, topic *cluster.Topic) error {
	return s.table.Drop(ctx, topic.ID)
}

// serve starts what runs by itself, then the listeners, and says so.
func (s *Server) serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stopBackground = stop
	s.later(s.stopWork)
	s.background.Go(func() { s.table.Run(background) })
	s.background.Go(func() {
		if err := s.set.Run(background, checkpointEvery, s.table.Settle); err != nil {
			s.fail(err)
		}
	})
	s.background.Go(func() { s.keepRenewed(background) })
	s.groups.Start()
	s.cluster.Start()
	if s.o.Init {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	s.ready.Store(true)
	switch err := writeAddresses(s.place.fs, s.allAddresses()); {
	case errors.Is(err, disk.ErrNoSpace):
		s.o.Log.Warn("no room to write down the addresses", "file", addressesName, "err", err)
		return nil
	case err != nil:
		return err
	}
	s.later(func() error { return s.place.fs.Remove(addressesName) })
	return nil
}

// stopWork ends what runs by itself, and saves a last checkpoint so that the
// next start has nothing to replay.
func (s *Server) stopWork() error {
	s.groups.Close()
	s.cluster.Close()
	s.stopBackground()
	s.background.Wait()
	select {
	case <-s.failed:
		return nil
	default:
	}
	saving, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if !s.set.Changed() {
		return nil
	}
	err := s.set.Checkpoint(saving, s.table.Settle)
	if errors.Is(err, journal.ErrNoRoom) || errors.Is(err, segment.ErrNoRoom) {
		s.o.Log.Warn("no room for a last checkpoint: the next start has more to replay", "err", err)
		return nil
	}
	if err != nil && saving.Err() == nil {
		s.fail(err)
	}
	return err
}

// Addresses gives what is bound, by listener.
func (s *Server) Addresses() map[string]string {
	addresses := make(map[string]string)
	for _, l := range s.listeners {
		addresses[l.Name] = l.Address
	}
	return addresses
}

// bind takes every listener's address.
func (s *Server) bind(context.Context) error {
	listeners, err := s.o.Config.Listeners(s.instance.Secure)
	if err == nil && !s.o.Insecure {
		err = config.Protect(listeners)
	}
	if err != nil {
		return &Error{exitUsage, err}
	}
	s.configured = listeners
	if !s.o.Init {
		if err := s.bindAll(listeners); err != nil {
			return err
		}
	}
	return writeListeners(s.place.fs, listeners)
}

func listen(name, host string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, fmt.Sprint(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, bindError("listener "+name, address, "listeners="+name+"://HOST:PORT", err)
	}
	return l, nil
}

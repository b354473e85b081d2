package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"milena/machine/cluster"
	"milena/storage/journal"
)

// Repaired tells what damage took of an instance, and whether it was given up.
type Repaired struct {
	Data   string        `json:"data"`
	Reason string        `json:"damage,omitempty"` // empty: there is none
	Logs   []DamagedLog  `json:"logs,omitempty"`
	Files  []DamagedFile `json:"files,omitempty"`
	Topics []RaisedTopic `json:"topics,omitempty"` // that may have lost offsets that were shown
	Found  []FoundTopic  `json:"found,omitempty"`  // that the cluster's log lost, and their data names
	Known  *Known        `json:"known,omitempty"`  // to a cluster's log that is damaged
	Done   bool          `json:"repaired"`
}

// DamagedLog is a log that takes no writes.
type DamagedLog struct {
	Log        string       `json:"log"` // cluster, shard N, coordinator N
	Place      uint64       `json:"readable_up_to"`
	Partitions []LostOffset `json:"partitions,omitempty"`
	Groups     []string     `json:"groups,omitempty"` // as far as they are known
}

// LostOffset is the first offset of a partition that may be gone.
type LostOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"lost_from"`
}

// DamagedFile is one of the journal's files.
type DamagedFile struct {
	Name  string `json:"file"`
	Bytes int64  `json:"bytes"`
	State string `json:"state"`
	Aside bool   `json:"set_aside"` // by a repair
}

// RaisedTopic is a topic and its leader epoch.
type RaisedTopic struct {
	Topic string `json:"topic"`
	Epoch int32  `json:"leader_epoch"`
}

// FoundTopic is a topic that is known by its data alone.
type FoundTopic struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"` // at least
}

// Known is how much a damaged cluster's log knows.
type Known struct {
	Topics int `json:"topics"`
	Users  int `json:"users"`
}

// turnTime is how long a repair waits for the journal's next file.
const turnTime = 30 * time.Second

// Repair looks at an instance that is stopped, as a start would, and tells what
// damage took of it. With giveUp it then gives that up:
//
//	1 save    twice what can be read, so that the damaged files go to lost/
//	2 turn    the journal goes on in a new file, so that the newest can go too
//	3 resume  each log that is stopped, behind what is lost
//	4 record  higher leader epochs, and what the cluster's log lost
//	5 save    twice, so that no older snapshot knows of the damage
//
// A crash in between leaves the damage as it was, or gone; then it can be run
// again.
func Repair(ctx context.Context, o Options, giveUp bool) (Repaired, error) {
	r := &repair{Server: newServer(o)}
	steps := []func(context.Context) error{r.find, r.openPlace, r.openEngines, r.look}
	if giveUp {
		steps = append(steps, r.giveUp)
	}
	var err error
	for _, step := range steps {
		if err = step(ctx); err != nil {
			break
		}
	}
	err = errors.Join(err, r.unwind())
	select {
	case <-r.failed:
		err = &Error{exitStorage, errors.Join(r.failure, err)}
	default:
	}
	return r.told, failed(err)
}

// repair is a Repair under way.
type repair struct {
	*Server
	told    Repaired
	damaged *journal.Damaged
	lost    bool               // the cluster's log is damaged
	hit     []*cluster.Topic   // with partitions in a damaged shard
	found   []cluster.NewTopic // that only their data knows
}

// find sees to it that a repair makes no instance.
func (r *repair) find(context.Context) error {
	dirs := r.o.Config.List("log.dirs")
	if r.o.disk != nil || len(dirs) != 1 {
		return nil // openPlace says what is wrong
	}
	if _, err := os.Stat(filepath.Join(dirs[0], instanceName)); errors.Is(err, fs.ErrNotExist) {
		return &Error{exitNotFound, fmt.Errorf("there is no instance in %s; name its directory with --data DIR", dirs[0])}
	}
	return nil
}

// look recovers what can be read, and tells what can't.
func (r *repair) look(ctx context.Context) error {
	r.told.Data = r.place.dir
	if err := r.makeStates(); err != nil {
		return err
	}
	r.later(func() error { r.cluster.Close(); return nil })
	err := r.set.Recover(ctx)
	if !errors.As(err, &r.damaged) {
		if err != nil {
			return fmt.Errorf("recovery: %w", err)
		}
		return nil
	}
	r.told.Reason = r.damaged.Reason
	seen := make(map[[16]byte]bool)
	for _, hit := range r.damaged.Logs {
		r.told.Logs = append(r.told.Logs, r.describe(hit, seen))
	}
	if r.lost {
		r.lookForTopics()
	}
	r.tellTopics()
	for _, f := range r.journal().Files() {
		r.told.Files = append(r.told.Files, DamagedFile(f))
	}
	return nil
}

func (r *repair) journal() journal.Repairable { return r.engines.journal.(journal.Repairable) }

// describe says what a log holds, and notes whose offsets may be gone.
func (r *repair) describe(hit journal.Cursor, seen map[[16]byte]bool) DamagedLog {
	l := r.set.Log(int(hit.Log))
	l.Lock()
	log := DamagedLog{Log: "cluster", Place: l.Durable()} // a snapshot may be ahead of what was read
	l.Unlock()
	shard := int(hit.Log) - 1
	switch {
	case hit.Log == 0:
		r.lost = true
		r.told.Known = &Known{Topics: len(r.cluster.Topics()), Users: len(r.cluster.Users())}
	case shard < r.instance.ShardLogs:
		log.Log = fmt.Sprintf("shard %d", shard)
		for _, end := range r.table.Ends(shard, r.cluster.Topics()) {
			log.Partitions = append(log.Partitions, LostOffset{end.Topic.Name, end.Partition, end.Next})
			if !seen[end.Topic.ID] {
				seen[end.Topic.ID] = true
				r.hit = append(r.hit, end.Topic)
			}
		}
	default:
		log.Log = fmt.Sprintf("coordinator %d", shard-r.instance.ShardLogs)
		log.Groups = r.groups.InLog(shard - r.instance.ShardLogs)
	}
	return log
}

// lookForTopics finds those that the cluster's log lost. All others may have been
// changed by what it lost.
func (r *repair) lookForTopics() {
	r.hit = r.cluster.Topics()
	r.found = r.table.Unknown(r.cluster.Knows)
	for _, topic := range r.found {
		r.told.Found = append(r.told.Found, FoundTopic{topic.Name, topic.Partitions})
	}
}

func (r *repair) tellTopics() {
	r.told.Topics = nil
	for _, topic := range r.hit {
		if now, ok := r.cluster.TopicByID(topic.ID); ok {
			r.told.Topics = append(r.told.Topics, RaisedTopic{now.Name, now.Epoch})
		}
	}
}

// giveUp does what Repair says, if anything is damaged.
func (r *repair) giveUp(ctx context.Context) error {
	if r.damaged == nil {
		return nil
	}
	if err := r.save(ctx, 2); err != nil {
		return err
	}
	turning, cancel := context.WithTimeoutCause(ctx, turnTime, errors.New("the disk gave it no room in time; look at the disk, then repair again"))
	defer cancel()
	if err := r.journal().Turn(turning); err != nil {
		return err
	}
	if err := r.save(ctx, 1); err != nil {
		return err
	}
	for _, lost := range r.journal().GiveUp() {
		r.set.Resume(lost)
		if shard := int(lost.Log) - 1; shard >= 0 && shard < r.instance.ShardLogs {
			r.table.CutBack(shard)
		}
	}
	var hit [][16]byte
	for _, topic := range r.hit {
		hit = append(hit, topic.ID)
	}
	if err := r.cluster.Repair(ctx, r.lost, r.found, hit); err != nil {
		return err
	}
	if err := r.save(ctx, 2); err != nil {
		return err
	}
	r.tellTopics()
	r.told.Done = true
	return nil
}

func (r *repair) save(ctx context.Context, times int) error {
	for range times {
		if err := r.set.Checkpoint(ctx, r.table.Settle); err != nil {
			return err
		}
	}
	return nil
}

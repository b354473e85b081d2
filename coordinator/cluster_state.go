package coordinator

import (
	"milena/machine"
	"milena/machine/cluster"
	"milena/shard"
	"milena/shard/fact"
)

// State is the cluster as the state of its log.
func (c *Cluster) State() shard.State { return clusterState{c} }

type clusterState struct{ *Cluster }

func (s clusterState) Load(body []byte) error {
	snapshot, err := fact.LoadCluster(body)
	if err != nil {
		return err
	}
	s.view.Lock()
	s.state, s.names = cluster.Restore(snapshot), nil
	s.view.Unlock()
	return nil
}

func (s clusterState) Replay(_ uint64, body []byte, known bool) error {
	if known {
		return nil
	}
	var facts []machine.Fact
	for f, err := range fact.Cluster(body) {
		if err != nil {
			return err
		}
		facts = append(facts, f)
	}
	s.apply(facts)
	return nil
}

func (s clusterState) Freeze() func() []byte {
	s.view.RLock()
	snapshot := s.state.Snapshot()
	s.view.RUnlock()
	return func() []byte { return fact.SaveCluster(snapshot) }
}

// Drop has nothing to forget: nothing runs ahead of the cluster log.
func (s clusterState) Drop() {}

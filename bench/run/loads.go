package main

import (
	"fmt"
	"strings"

	"milena/bench/result"
)

// load is one way to use a broker.
type load struct {
	name    string
	args    string // of the load generator
	unit    result.Unit
	reads   bool // the journal alone can't be read
	watched bool // it is looked for checkpoints meanwhile, which costs the broker: its CPU is no figure
}

// loads are all there are, in the tables' order.
var loads = []load{
	{name: "produce-1k-1p", args: "produce -inflight 5"},
	{name: "produce-1k-8p", args: "produce -partitions 8 -conns 4 -inflight 2"},
	{name: "produce-1k-100p", args: "produce -partitions 100 -batch 10 -inflight 5"},
	{name: "produce-100b-1p", args: "produce -size 100 -frame 900000 -inflight 5", unit: result.PerMillion},
	{name: "produce-100b-100p", args: "produce -size 100 -partitions 100 -batch 100 -inflight 5", unit: result.PerMillion},
	{name: "rtt-1", args: "rtt", unit: result.PerRequest},
	{name: "rtt-16", args: "rtt -conns 16 -partitions 16", unit: result.PerRequest},
	{name: "rtt-100", args: "rtt -conns 100 -partitions 100", unit: result.PerRequest},
	{name: "rtt-100x5", args: "rtt -conns 100 -inflight 5 -partitions 100", unit: result.PerRequest},
	{name: "paced-1000", args: "rtt -conns 10 -partitions 10 -rate 1000", unit: result.PerRequest},
	{name: "paced-5000", args: "rtt -conns 10 -partitions 10 -rate 5000", unit: result.PerRequest},
	{name: "paced-5000-watched", args: "rtt -conns 10 -partitions 10 -rate 5000", unit: result.PerRequest, watched: true},
	{name: "consume-1k-1p", args: "fetch", reads: true},
	{name: "consume-1k-8p", args: "fetch -partitions 8", reads: true},
	{name: "consume-1k-100p", args: "fetch -partitions 100", reads: true},
	{name: "consume-100b-8p", args: "fetch -size 100 -frame 900000 -partitions 8", unit: result.PerMillion, reads: true},
	{name: "kgo-1k", args: "kgo"},
	{name: "kgo-100b", args: "kgo -size 100", unit: result.PerMillion},
	{name: "kgo-consume-1k", args: "kgo-fetch", reads: true},
}

// chosen gives the loads of a list of names.
func chosen(names string) ([]load, error) {
	if names == "all" {
		return loads, nil
	}
	var out []load
	for name := range strings.SplitSeq(names, ",") {
		l, ok := find(name)
		if !ok {
			return nil, fmt.Errorf("no load is called %q", name)
		}
		out = append(out, l)
	}
	return out, nil
}

func find(name string) (load, bool) {
	for _, l := range loads {
		if l.name == name {
			return l, true
		}
	}
	return load{}, false
}

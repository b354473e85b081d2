package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/bench/process"
	"milena/bench/raw"
)

// create times a topic of many partitions until all can be used.
func (l *load) create() error {
	began := time.Now()
	if err := raw.MakeTopic(l.address, l.topic, l.partitions, nil); err != nil {
		return err
	}
	took := time.Since(began)
	s, err := process.Look(l.pid)
	fmt.Printf("create   %d partitions usable after %v, RSS %d MB\n", l.partitions, took.Round(time.Millisecond), s.RSS>>20)
	return err
}

// idle opens connections, has each ask for versions once, and looks at what
// they cost.
func (l *load) idle() error {
	before, err := process.Look(l.pid)
	if err != nil {
		return err
	}
	began := time.Now()
	for range l.conns {
		c, err := raw.Dial(l.address)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Ask(kmsg.NewPtrApiVersionsRequest()); err != nil {
			return err
		}
	}
	took := time.Since(began)
	after, err := process.Look(l.pid)
	fmt.Printf("idle     %d connections in %v, %.1f KB RSS and %.2f ms CPU each\n", l.conns, took.Round(time.Millisecond),
		float64(after.RSS-before.RSS)/float64(l.conns)/1e3, (after.CPU-before.CPU)*1000/float64(l.conns))
	return err
}

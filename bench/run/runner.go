package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"milena/bench/result"
)

// jvmWarm is how many times as long a JVM is warmed up: a cold one needs three
// times the CPU, and most of that is over after half a minute.
const jvmWarm = 6

// slack is what a run may take beyond its measured time: to make the topic, to
// fill it, to delete it.
const slack = 3 * time.Minute

// portsEach is how far the brokers' ports lie apart.
const portsEach = 10

// runner measures.
type runner struct {
	*options
	ctx     context.Context
	tools   string
	loads   []load
	brokers []*broker
	out     io.WriteCloser
	results []result.Result
	earlier []result.Result // in the file before
}

// choose finds what is asked for.
func (r *runner) choose() (err error) {
	if r.options.loads != "" {
		if r.loads, err = chosen(r.options.loads); err != nil {
			return err
		}
	}
	names := r.options.brokers
	if r.vs != "" {
		names = "new,old,old-again"
	}
	kinds := r.kinds(r.tools)
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if i < 0 {
			return fmt.Errorf("no broker is called %q", name)
		}
		r.brokers = append(r.brokers, &broker{kind: kinds[i], port: r.port + portsEach*len(r.brokers), dir: filepath.Join(r.dir, name)})
	}
	return os.MkdirAll(r.dir, 0o700)
}

// all runs each load:
//
//	1 warm   every broker, which does not count
//	2 rounds each broker in turn, and in the next round backwards, so that
//	         neighbours stay neighbours
func (r *runner) all() {
	for _, l := range r.loads {
		brokers := r.who(l)
		for _, b := range brokers {
			r.warmUp(b, l)
		}
		before := lastRound(r.earlier, l)
		for round := before + 1; round <= before+r.rounds; round++ {
			for _, b := range brokers {
				if r.ctx.Err() != nil {
					return
				}
				r.warmUp(b, l) // if it has failed meanwhile
				r.keep(b, l, round)
			}
			slices.Reverse(brokers)
		}
	}
}

// warmUp runs a load on a broker that has not had it since it was started.
func (r *runner) warmUp(b *broker, l load) {
	err := b.ensure(r.ctx)
	if err == nil && b.warmed == l.name {
		return
	}
	if err == nil {
		d := r.warm
		if b.jvm {
			d *= jvmWarm
		}
		_, err = r.one(b, l, d)
	}
	if err != nil {
		r.say("%s %s: warming up: %v", l.name, b.name, err)
		return
	}
	b.warmed = l.name
}

// lastRound is how far the rounds of a load were counted before.
func lastRound(earlier []result.Result, l load) (round int) {
	for _, res := range earlier {
		if res.Load == l.name {
			round = max(round, res.Round)
		}
	}
	return round
}

// who gives the brokers that a load is for.
func (r *runner) who(l load) []*broker {
	return slices.DeleteFunc(slices.Clone(r.brokers), func(b *broker) bool { return l.reads && b.deaf || l.watched && !b.metrics })
}

// keep runs a load once, and keeps what came of it.
func (r *runner) keep(b *broker, l load, round int) {
	began := time.Now()
	res, err := r.one(b, l, r.duration)
	if err != nil {
		res = &result.Result{Err: err.Error()}
		r.say("%s %s round %d: %v", l.name, b.name, round, err)
	} else {
		r.say("%s %s round %d: %s, %s", l.name, b.name, round, cost(res, l.unit), speed(res, l.unit))
	}
	res.At, res.Load, res.Broker, res.Round = began.UTC().Truncate(time.Second), l.name, b.name, round
	r.results = append(r.results, *res)
	if r.out != nil {
		if err := result.Write(r.out, res); err != nil {
			r.say("%s: %v", r.options.out, err)
		}
	}
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// one runs a load once against a broker, when the machine is calm.
func (r *runner) one(b *broker, l load, duration time.Duration) (*result.Result, error) {
	if err := b.ensure(r.ctx); err != nil {
		return nil, err
	}
	if err := b.gone(r.ctx); err != nil {
		return nil, err
	}
	if err := calm(r.ctx); err != nil {
		return nil, err
	}
	if r.fill {
		if err := fillCache(r.dir); err != nil {
			return nil, fmt.Errorf("fill: %w", err)
		}
	}
	if err := room(r.dir); err != nil {
		return nil, err
	}
	args := append(strings.Fields(l.args), "-json", "-b", address(b.port), "-pid", fmt.Sprint(b.cmd.Process.Pid), "-for", duration.String())
	if l.watched {
		args = append(args, "-metrics", "http://"+address(b.port+1)+"/metrics")
	}
	return r.load(duration+slack, args...)
}

// load runs the load generator.
func (r *runner) load(timeout time.Duration, args ...string) (*result.Result, error) {
	ctx, cancel := context.WithTimeout(r.ctx, timeout)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(r.tools, "load"), args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", errors.Join(err, ctx.Err()), strings.TrimSpace(complaint.String()))
	}
	res := &result.Result{}
	if err := json.Unmarshal(out.Bytes(), res); err != nil {
		return nil, fmt.Errorf("the load printed %q: %w", out.String(), err)
	}
	return res, nil
}

// stop ends the brokers, and removes what they wrote.
func (r *runner) stop() {
	for _, b := range r.brokers {
		b.stop()
		if b.data != "" && !r.leave {
			os.RemoveAll(b.data) //nolint:errcheck // what is left is in a directory that was named or is temporary
		}
	}
	os.Remove(filepath.Join(r.dir, "fill")) //nolint:errcheck // there may be none
}

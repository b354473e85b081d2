package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/bench/process"
	"milena/bench/raw"
	"milena/bench/result"
)

// What is measured once, and how much of it.
const (
	starts        = 10
	startsJVM     = 3
	settleTime    = 5 * time.Second // from ready until memory and idleness are looked at
	idleTime      = 40 * time.Second
	idleParts     = 1_000
	manyParts     = 10_000
	recoverBytes  = 10_000_000_000
	recoverParts  = 100
	recoverBatch  = 10 // records of 1 KiB
	onceTopic     = "load-once"
	ackEvery      = 2 * time.Millisecond
	ackTimeout    = 2 * time.Minute
	kafkaRequest  = 5_000 // partitions in a request; Apache Kafka refuses 10,000
	recoverConns  = 2
	recordBytes   = 1024
	lastBatchSize = 64 << 10 // asked of a Fetch
)

// notes gathers what was measured.
type notes struct {
	w    io.Writer
	rows []note
}

type note struct {
	what, unit string
	broker     string
	values     []float64
}

func (n *notes) add(b *broker, what, unit string, value float64) {
	i := slices.IndexFunc(n.rows, func(o note) bool { return o.what == what && o.broker == b.name })
	if i < 0 {
		n.rows = append(n.rows, note{what: what, unit: unit, broker: b.name})
		i = len(n.rows) - 1
	}
	n.rows[i].values = append(n.rows[i].values, value)
}

// table prints what was measured, a row for each measure.
func (n *notes) table(brokers []string) {
	fmt.Fprintf(n.w, "| measured | %s |\n|---|%s\n", strings.Join(brokers, " | "), strings.Repeat("---|", len(brokers)))
	var told []string
	for _, row := range n.rows {
		if slices.Contains(told, row.what) {
			continue
		}
		told = append(told, row.what)
		cells := []string{row.what}
		for _, broker := range brokers {
			i := slices.IndexFunc(n.rows, func(o note) bool { return o.what == row.what && o.broker == broker })
			if i < 0 {
				cells = append(cells, "–")
				continue
			}
			cells = append(cells, text(result.Of(n.rows[i].values))+" "+row.unit)
		}
		fmt.Fprintln(n.w, "| "+strings.Join(cells, " | ")+" |")
	}
}

// onceAll measures what is not a load: how a broker starts, what it takes while it
// does nothing, many partitions, and what a kill costs.
func (r *runner) onceAll() error {
	n := &notes{w: os.Stdout}
	measures := []struct {
		name string
		take func(*broker, *notes) error
	}{{"start", r.starts}, {"idle", r.idle}, {"many", r.many}, {"recovery", r.recovery}}
	wanted := strings.Split(r.once, ",")
	var names []string
	for _, b := range r.brokers {
		if !b.jvm && !b.metrics {
			continue // a floor has none of it
		}
		names = append(names, b.name)
		for _, m := range measures {
			if r.once != "all" && !slices.Contains(wanted, m.name) {
				continue
			}
			if err := calm(r.ctx); err != nil {
				return err
			}
			if err := m.take(b, n); err != nil {
				r.say("%s, %s: %v", b.name, m.name, err)
			}
			b.stop()
		}
	}
	n.table(names)
	return r.ctx.Err()
}

// starts times a start on a fresh directory, and another on what the first left.
func (r *runner) starts(b *broker, n *notes) error {
	times := starts
	if b.jvm {
		times = startsJVM
	}
	for range times {
		if err := b.renew(r.ctx); err != nil {
			return err
		}
		for _, what := range []string{"start to first acknowledged produce, fresh directory", "the same, started again"} {
			took, err := b.acked(r.ctx, onceTopic, 0)
			if err != nil {
				return err
			}
			n.add(b, what, "ms", millis(took))
			if err := r.sleep(settleTime); err != nil {
				return err
			}
			if err := b.rss(n, "RSS, idle, empty"); err != nil {
				return err
			}
			b.stop()
		}
	}
	return nil
}

// idle looks at what a broker spends while nothing happens.
func (r *runner) idle(b *broker, n *notes) error {
	if err := b.renew(r.ctx); err != nil {
		return err
	}
	if err := b.run(r.ctx); err != nil {
		return err
	}
	if err := raw.MakeTopic(address(b.port), onceTopic, idleParts, nil); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address(b.port)), kgo.ConsumeTopics(onceTopic), kgo.ConsumerGroup("parked"))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithCancel(r.ctx)
	var parked sync.WaitGroup
	parked.Go(func() { client.PollFetches(ctx) })
	defer parked.Wait()
	defer stop()
	if err := r.sleep(2 * settleTime); err != nil {
		return err
	}
	before, err := process.Look(b.pid())
	if err != nil {
		return err
	}
	if err := r.sleep(idleTime); err != nil {
		return err
	}
	after, err := process.Look(b.pid())
	if err != nil {
		return err
	}
	n.add(b, "CPU, idle, 1,000 partitions and a parked consumer", "% of a core", 100*(after.CPU-before.CPU)/idleTime.Seconds())
	return nil
}

// many makes many partitions, and starts again with them.
func (r *runner) many(b *broker, n *notes) error {
	if err := b.renew(r.ctx); err != nil {
		return err
	}
	if err := b.run(r.ctx); err != nil {
		return err
	}
	each := manyParts
	if b.jvm {
		each = kafkaRequest
	}
	var topics []string
	began := time.Now()
	for i := range manyParts / each {
		topics = append(topics, fmt.Sprintf("%s-%d", onceTopic, i))
		if err := raw.MakeTopic(address(b.port), topics[i], each, nil); err != nil {
			return err
		}
	}
	n.add(b, fmt.Sprintf("%d partitions made and usable", manyParts), "ms", millis(time.Since(began)))
	if err := b.rss(n, "RSS then"); err != nil {
		return err
	}
	b.stop()
	began = time.Now()
	if err := b.run(r.ctx); err != nil {
		return err
	}
	conn, err := raw.Dial(address(b.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, topic := range topics {
		if err := conn.WaitUsable(topic, each); err != nil {
			return err
		}
	}
	n.add(b, "started again until all answer", "ms", millis(time.Since(began)))
	return b.rss(n, "RSS behind that start")
}

// recovery kills a broker under load, and looks at what is there again.
func (r *runner) recovery(b *broker, n *notes) error {
	if err := room(r.dir); err != nil {
		return err
	}
	if err := b.renew(r.ctx); err != nil {
		return err
	}
	if err := b.run(r.ctx); err != nil {
		return err
	}
	if err := raw.MakeTopic(address(b.port), onceTopic, recoverParts, nil); err != nil {
		return err
	}
	acked, err := r.pour(b)
	if err != nil {
		return err
	}
	took, err := b.acked(r.ctx, onceTopic, 0)
	if err != nil {
		return err
	}
	n.add(b, "kill -9 under load with 10 GB: started again to first acknowledged produce", "ms", millis(took))
	began := time.Now()
	if err := b.readable(acked); err != nil {
		return err
	}
	n.add(b, "… until every partition gives its last batch", "ms", millis(took+time.Since(began)))
	return nil
}

// pour produces to every partition until the broker holds enough, and kills it
// while more comes. It gives how many batches each partition surely has.
func (r *runner) pour(b *broker) (int64, error) {
	partitions := make([]int32, recoverParts)
	for p := range partitions {
		partitions[p] = int32(p)
	}
	frame := raw.Produce(onceTopic, partitions, raw.Batch(recoverBatch, recordBytes))
	enough := int64(recoverBytes / (recoverParts * recoverBatch * recordBytes))
	var acked atomic.Int64
	ended := make(chan error, recoverConns)
	for range recoverConns {
		go func() { ended <- pourOne(address(b.port), frame, &acked) }()
	}
	var early error
	for acked.Load() < enough && early == nil && r.ctx.Err() == nil {
		select {
		case early = <-ended:
		case <-time.After(look):
		}
	}
	b.kill()
	if err := errors.Join(early, r.ctx.Err()); err != nil {
		return 0, err
	}
	for range recoverConns {
		<-ended // of the kill
	}
	return acked.Load(), nil
}

func pourOne(address string, frame []byte, acked *atomic.Int64) error {
	conn, err := raw.Dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		body, err := conn.Body(nil)
		if err != nil {
			return err
		}
		if err := raw.Produced(body); err != nil {
			return err
		}
		acked.Add(1)
	}
}

// readable reads the last batch of every partition, which must not end before
// what was acknowledged.
func (b *broker) readable(acked int64) error {
	conn, err := raw.Dial(address(b.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.WaitUsable(onceTopic, recoverParts); err != nil {
		return err
	}
	ends, err := conn.Ends(onceTopic, recoverParts)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if end < acked*recoverBatch {
			return fmt.Errorf("partition %d ends at %d, but %d records were acknowledged", p, end, acked*recoverBatch)
		}
		if _, err := conn.Write(raw.Fetch(onceTopic, int32(p), end-1, lastBatchSize)); err != nil {
			return err
		}
		body, err := conn.Body(nil)
		if err != nil {
			return err
		}
		if len(body) < recordBytes {
			return fmt.Errorf("partition %d gives nothing at offset %d", p, end-1)
		}
	}
	return nil
}

// renew gives the broker a fresh directory, made ready where that takes a
// command of its own, which does not count.
func (b *broker) renew(ctx context.Context) error {
	b.stop()
	if err := b.fresh(); err != nil {
		return err
	}
	if b.prepare == nil {
		return nil
	}
	return b.prepare(ctx, b.port, b.data)
}

// run starts the broker, and waits until it answers.
func (b *broker) run(ctx context.Context) error {
	if err := b.start(); err != nil {
		return err
	}
	return b.ready(ctx)
}

// acked starts the broker, and tries to produce until that is acknowledged.
func (b *broker) acked(ctx context.Context, topic string, partition int32) (time.Duration, error) {
	frame := raw.Produce(topic, []int32{partition}, raw.Batch(1, recordBytes))
	began := time.Now()
	if err := b.start(); err != nil {
		return 0, err
	}
	var err error
	for time.Since(began) < ackTimeout && ctx.Err() == nil {
		if err = produceOnce(address(b.port), topic, frame); err == nil {
			return time.Since(began), nil
		}
		time.Sleep(ackEvery)
	}
	return 0, errors.Join(fmt.Errorf("%s acknowledges nothing: %w", b.name, err), ctx.Err())
}

// produceOnce has the topic made by asking for it, and produces a record.
func produceOnce(address, topic string, frame []byte) error {
	conn, err := raw.Dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ask := kmsg.NewPtrMetadataRequest()
	ask.Version, ask.AllowAutoTopicCreation = 4, true
	about := kmsg.NewMetadataRequestTopic()
	about.Topic = &topic
	ask.Topics = append(ask.Topics, about)
	if _, err := conn.Ask(ask); err != nil {
		return err
	}
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	body, err := conn.Body(nil)
	if err != nil {
		return err
	}
	return raw.Produced(body)
}

func (b *broker) pid() int { return b.cmd.Process.Pid }

func (b *broker) rss(n *notes, what string) error {
	s, err := process.Look(b.pid())
	if err == nil {
		n.add(b, what, "MB", float64(s.RSS)/1e6)
	}
	return err
}

func (r *runner) sleep(d time.Duration) error {
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

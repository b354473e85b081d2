package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"milena/bench/raw"
	"milena/bench/result"
)

// load is what is asked for on the command line.
type load struct {
	verb       string
	address    string
	pid        int
	metrics    string
	size       int
	frame      int
	batch      int
	partitions int
	conns      int
	inflight   int
	rate       int
	maxBytes   int
	duration   time.Duration
	warm       time.Duration
	json       bool

	topic string
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "load produce|rtt|fetch|kgo|kgo-fetch|idle|create [flags]; see go doc")
		os.Exit(2)
	}
	l := load{verb: os.Args[1]}
	f := flag.NewFlagSet("load "+l.verb, flag.ExitOnError)
	f.StringVar(&l.address, "b", "127.0.0.1:9092", "broker")
	f.IntVar(&l.pid, "pid", 0, "the broker's process, for what it spends")
	f.StringVar(&l.metrics, "metrics", "", "URL of the broker's metrics, for which requests saw a checkpoint run")
	f.IntVar(&l.size, "size", 1024, "bytes of a record's value")
	f.IntVar(&l.frame, "frame", 1_000_000, "bytes of record values in a request")
	f.IntVar(&l.batch, "batch", 0, "records of a batch; 0: one batch a request")
	f.IntVar(&l.partitions, "partitions", 1, "of the topic")
	f.IntVar(&l.conns, "conns", 1, "connections")
	f.IntVar(&l.inflight, "inflight", 1, "requests under way on each")
	f.IntVar(&l.rate, "rate", 0, "requests a second in all, open loop; 0: as fast as it goes")
	f.IntVar(&l.maxBytes, "max-bytes", 1<<20, "of a Fetch, for each partition")
	f.DurationVar(&l.duration, "for", 5*time.Second, "measured time")
	f.DurationVar(&l.warm, "warm", 500*time.Millisecond, "before it")
	f.BoolVar(&l.json, "json", false, "print one line of JSON")
	f.Parse(os.Args[2:]) //nolint:errcheck // it exits by itself
	if err := l.run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func (l *load) run() error {
	l.topic = fmt.Sprintf("load-%d", time.Now().UnixNano())
	var work func(int, *tally) error
	switch l.verb {
	case "create":
		return l.create()
	case "idle":
		return l.idle()
	case "produce", "rtt":
		work = l.producer
	case "fetch":
		work = l.reader
	case "kgo":
		work = l.kgoProducer
	case "kgo-fetch":
		work = l.kgoConsumer
	default:
		return fmt.Errorf("no verb %q", l.verb)
	}
	if err := raw.MakeTopic(l.address, l.topic, l.partitions, l.retention()); err != nil {
		return err
	}
	defer raw.DeleteTopic(l.address, l.topic) //nolint:errcheck // a courtesy
	if l.verb == "fetch" || l.verb == "kgo-fetch" {
		if err := l.preload(); err != nil {
			return err
		}
	}
	r, err := l.measure(work)
	if err != nil {
		return err
	}
	if l.json {
		return result.Write(os.Stdout, r)
	}
	l.print(r)
	return nil
}

// What a topic may hold in all, and its largest segment: a part of a segment is
// never let go of.
const (
	heldBytes    = 10_000_000_000
	segmentBytes = 256 << 20
)

func (l *load) retention() map[string]string {
	each := heldBytes / l.partitions
	segment := max(min(segmentBytes, each/2), 1<<20)
	return map[string]string{"retention.bytes": fmt.Sprint(max(each-segment, 1)), "segment.bytes": fmt.Sprint(segment)}
}

func (l *load) print(r *result.Result) {
	t := r.Times
	fmt.Printf("%-8s %8.1f MB/s %9.0f req/s %10.0f rec/s  p50 %d p99 %d p999 %d max %d µs", l.verb, r.Speed(result.PerGB),
		r.Speed(result.PerRequest), float64(r.Records)/r.Seconds, t.P50, t.P99, t.P999, t.Max)
	if l.pid != 0 && r.Requests > 0 {
		fmt.Printf("  broker %.2f CPU-s/GB %.1f µs/req RSS %d MB disk/byte %.2f", r.Cost(result.PerGB), r.Cost(result.PerRequest),
			r.RSS>>20, r.Amplification())
	}
	fmt.Printf("  load %.2f CPU-s/GB %.1f µs/req\n", r.ClientCost(result.PerGB), r.ClientCost(result.PerRequest))
	if r.During != nil {
		fmt.Printf("         %d checkpoints: %.1f %% of the requests saw one, their p99 %d p999 %d max %d µs; the others' p99 %d p999 %d max %d µs\n",
			r.Checkpoints, 100*float64(r.During.Count)/float64(max(t.Count, 1)), r.During.P99, r.During.P999, r.During.Max, r.Between.P99, r.Between.P999, r.Between.Max)
	}
}

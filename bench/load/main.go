package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is what is asked for on the command line.
type load struct {
	verb       string
	address    string
	pid        int
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
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "load produce|rtt|fetch|idle|create [flags]; see go doc")
		os.Exit(2)
	}
	l := load{verb: os.Args[1]}
	f := flag.NewFlagSet("load "+l.verb, flag.ExitOnError)
	f.StringVar(&l.address, "b", "127.0.0.1:9092", "broker")
	f.IntVar(&l.pid, "pid", 0, "the broker's process, for what it spends")
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
	f.Parse(os.Args[2:]) //nolint:errcheck // it exits by itself
	if err := l.run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func (l *load) run() error {
	topic := fmt.Sprintf("load-%d", time.Now().UnixNano())
	switch l.verb {
	case "create":
		return l.create(topic)
	case "idle":
		return l.idle()
	case "produce", "rtt", "fetch":
	default:
		return fmt.Errorf("no verb %q", l.verb)
	}
	err := makeTopic(l.address, topic, l.partitions, map[string]string{"retention.bytes": fmt.Sprint(10_000_000_000 / l.partitions)})
	if err != nil {
		return err
	}
	defer deleteTopic(l.address, topic) //nolint:errcheck // a courtesy
	if l.verb == "fetch" {
		return l.fetch(topic)
	}
	return l.produce(topic)
}

// counted is what all connections did within the measured time.
type counted struct {
	requests, bytes, records atomic.Int64
	mu                       sync.Mutex
	times                    *hdrhistogram.Histogram // microseconds
	on                       atomic.Bool
}

func (c *counted) done(took time.Duration, bytes, records int) {
	if !c.on.Load() {
		return
	}
	c.requests.Add(1)
	c.bytes.Add(int64(bytes))
	c.records.Add(int64(records))
	c.mu.Lock()
	c.times.RecordValue(took.Microseconds()) //nolint:errcheck // beyond the histogram's end it is lost, and the maximum shows it
	c.mu.Unlock()
}

// measure runs the work for the warm-up and the measured time, and prints what
// was done and what the broker spent on it.
func (l *load) measure(work func(stop <-chan struct{}, c *counted) error) error {
	c := &counted{times: hdrhistogram.New(1, 60_000_000, 3)}
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- work(stop, c) }()
	select {
	case <-time.After(l.warm):
	case err := <-ended:
		return err
	}
	before, err := look(l.pid)
	if err != nil {
		return err
	}
	began := time.Now()
	c.on.Store(true)
	select {
	case <-time.After(l.duration):
	case err := <-ended:
		return err
	}
	c.on.Store(false)
	took := time.Since(began).Seconds()
	after, err := look(l.pid)
	close(stop)
	if workErr := <-ended; workErr != nil {
		return workErr
	}
	if err != nil {
		return err
	}
	requests, gigabytes := float64(c.requests.Load()), float64(c.bytes.Load())/1e9
	cpu := after.CPU - before.CPU
	fmt.Printf("%-8s %8.1f MB/s %9.0f req/s %10.0f rec/s  p50 %d p99 %d p999 %d max %d µs",
		l.verb, gigabytes*1000/took, requests/took, float64(c.records.Load())/took,
		c.times.ValueAtQuantile(50), c.times.ValueAtQuantile(99), c.times.ValueAtQuantile(99.9), c.times.Max())
	if l.pid != 0 && requests > 0 {
		fmt.Printf("  broker %.2f CPU-s/GB %.1f µs/req RSS %d MB disk/byte %.2f", cpu/gigabytes, cpu/requests*1e6,
			after.RSS>>20, float64(after.WriteBytes-before.WriteBytes)/float64(c.bytes.Load()))
	}
	fmt.Println()
	return nil
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	recordMax     = 100 << 20 // bytes of a line or a file
	requestSize   = 1 << 20   // Kafka's default for max.request.size
	bufferedBytes = 64 << 20  // records under way
	drainLimit    = 5 * time.Second
	progressEvery = 200 * time.Millisecond
)

// produce is `milena produce`: each line a record, or each file.
type produce struct {
	c           *console
	k           *connection
	topic       string
	files       []string
	key         string
	separator   string
	whole       bool
	headers     []string
	partition   int32
	tombstone   bool
	compression string

	keySet  bool
	parsed  []kgo.RecordHeader
	sent    atomic.Int64
	bytes   atomic.Int64
	mu      sync.Mutex
	failure error // the first
}

func newProduce(c *console) *cobra.Command {
	p := &produce{c: c}
	cmd := &cobra.Command{
		Use:   "produce TOPIC [FILE…]",
		Short: "Write records: a line each, or a file each",
		Long: `Writes records to a topic: each line of standard input or of the files is one,
its bytes as they are, the line's end left out. With --file each file is one.
It is done, exit code 0, when the broker has acknowledged all of them.`,
		Example: `  echo 'hello kafka!' | milena produce greetings
  milena produce orders -k : < orders.txt                  key:value a line
  milena produce images --file --key cat cat.png
  milena produce accounts --tombstone --key 17             delete a key
  milena produce topic_name -b ip1:port1,ip2:port2 --user u --password-file pw --ca phy_ca.crt`,
		Args: cobra.MinimumNArgs(1),
	}
	p.k = connectionFlags(c, cmd)
	p.k.complete(cmd, 1, topicNames)
	f := cmd.Flags()
	f.StringVar(&p.key, "key", "", "key of every record")
	f.StringVarP(&p.separator, "key-separator", "k", "", "what ends the key in a line")
	f.BoolVar(&p.whole, "file", false, "each FILE is one record")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "a header, as name=value")
	f.Int32VarP(&p.partition, "partition", "p", -1, "partition to write to (-1: by key)")
	f.BoolVar(&p.tombstone, "tombstone", false, "no value: with --key one record, else a record for each empty value")
	f.StringVarP(&p.compression, "compression", "z", "", "none, gzip, snappy, lz4 or zstd")
	completeWords(cmd, "compression", "none", "gzip", "snappy", "lz4", "zstd")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.topic, p.files, p.keySet = args[0], args[1:], cmd.Flags().Changed("key")
		return p.run(cmd.Context(), cmd)
	}
	return cmd
}

func (p *produce) run(ctx context.Context, cmd *cobra.Command) error {
	if err := p.check(); err != nil {
		return usage(err, cmd)
	}
	if p.compression != "" {
		p.k.properties = append(p.k.properties, "compression.type="+p.compression)
	}
	if err := p.k.prepare(cmd); err != nil {
		return err
	}
	linger := 5 * time.Millisecond
	if p.c.inTerminal {
		linger = 0 // each line goes as it is typed
	}
	linger, err := p.k.set.linger(linger)
	if err != nil {
		return usage(err, cmd)
	}
	opts := []kgo.Opt{
		kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(linger),
		kgo.MaxBufferedBytes(bufferedBytes), kgo.UnknownTopicRetries(8), kgo.ConsiderMissingTopicDeletedAfter(0),
	}
	if !p.k.set.has("max.request.size") && !p.k.set.has("batch.size") {
		opts = append(opts, kgo.ProducerBatchMaxBytes(requestSize))
	}
	if !p.k.set.has("delivery.timeout.ms") {
		opts = append(opts, kgo.RecordDeliveryTimeout(2*time.Minute))
	}
	if p.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	client, err := p.k.open(ctx, cmd, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	return p.send(ctx, client)
}

func (p *produce) check() error {
	switch {
	case p.whole && len(p.files) == 0:
		return errors.New("--file needs a FILE")
	case p.whole && p.separator != "":
		return errors.New("--file and --key-separator exclude each other")
	case p.keySet && p.separator != "":
		return errors.New("--key and --key-separator exclude each other")
	}
	for _, h := range p.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			return fmt.Errorf("-H %s: it is not name=value", h)
		}
		p.parsed = append(p.parsed, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return nil
}

// send reads records and hands them to the client until the input ends or one
// fails, then waits for all acknowledgements.
func (p *produce) send(ctx context.Context, client *kgo.Client) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	records := make(chan *kgo.Record, 1024)
	ended := make(chan error, 1)
	go func() { ended <- p.read(reading, records) }()

	settle := p.progress()
	for reading.Err() == nil {
		select {
		case r, more := <-records:
			if !more {
				err := p.flush(ctx, client, <-ended)
				settle(err)
				return err
			}
			client.Produce(ctx, r, func(r *kgo.Record, err error) { p.acknowledged(r, err, stop) })
		case <-reading.Done():
		}
	}
	err := p.flush(ctx, client, ctx.Err())
	settle(err)
	return err
}

func (p *produce) acknowledged(r *kgo.Record, err error, stop func()) {
	if err == nil {
		p.sent.Add(1)
		p.bytes.Add(int64(len(r.Key) + len(r.Value)))
		return
	}
	p.mu.Lock()
	if p.failure == nil {
		p.failure = err
	}
	p.mu.Unlock()
	stop()
}

// flush waits for what is under way; after an interruption only a little.
func (p *produce) flush(ctx context.Context, client *kgo.Client, ended error) error {
	limit := ctx
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
	}
	flushed := client.Flush(limit)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.failure != nil && ctx.Err() == nil:
		return fmt.Errorf("topic %s, after %d acknowledged records: %w", p.topic, p.sent.Load(), p.failure)
	case ended != nil:
		return ended
	}
	return flushed
}

// read makes records of the input and closes the channel at its end.
func (p *produce) read(ctx context.Context, to chan<- *kgo.Record) error {
	defer close(to)
	give := func(key, value []byte) bool {
		r := &kgo.Record{Topic: p.topic, Key: key, Value: value, Headers: p.parsed, Partition: max(p.partition, 0)}
		select {
		case to <- r:
			return true
		case <-ctx.Done():
			return false
		}
	}
	switch {
	case p.tombstone && p.keySet && len(p.files) == 0:
		give([]byte(p.key), nil)
		return nil
	case p.whole:
		return p.readWhole(give)
	case len(p.files) == 0:
		if p.c.inTerminal && p.c.errTerminal {
			fmt.Fprintln(p.c.err, "Each line is a record; end with Ctrl-D.")
		}
		return p.readLines(p.c.in, "standard input", give)
	}
	for _, name := range p.files {
		if err := p.readFile(name, give); err != nil {
			return err
		}
	}
	return nil
}

func (p *produce) readWhole(give func(key, value []byte) bool) error {
	for _, name := range p.files {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.Size() > recordMax {
			return fmt.Errorf("%s: %d bytes are more than the limit of %d for a record", name, info.Size(), recordMax)
		}
		value, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !give(p.fixedKey(), value) {
			return nil
		}
	}
	return nil
}

func (p *produce) readFile(name string, give func(key, value []byte) bool) error {
	if name == "-" {
		return p.readLines(p.c.in, "standard input", give)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.readLines(f, name, give)
}

func (p *produce) readLines(from io.Reader, name string, give func(key, value []byte) bool) error {
	lines := bufio.NewReaderSize(from, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s, line %d: %w", name, number, err)
		}
		if err != nil && len(line) == 0 {
			return nil
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		key, value := p.fixedKey(), line
		if p.separator != "" {
			before, after, found := bytes.Cut(line, []byte(p.separator))
			if !found {
				return fmt.Errorf("%s, line %d: the key's end %q is not in it", name, number, p.separator)
			}
			key, value = before, after
		}
		if p.tombstone && len(value) == 0 {
			value = nil
		}
		if !give(key, value) {
			return nil
		}
	}
}

// readLine reads up to a line's end, of bytes that are the caller's to keep.
func readLine(from *bufio.Reader) ([]byte, error) {
	line := []byte{}
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > recordMax {
			return nil, fmt.Errorf("it is longer than the limit of %d bytes", recordMax)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (p *produce) fixedKey() []byte {
	if !p.keySet {
		return nil
	}
	return []byte(p.key)
}

// progress tells on a terminal how far it is; settle says the last word.
func (p *produce) progress() (settle func(error)) {
	if !p.c.errTerminal {
		return func(error) {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if !p.c.inTerminal {
					fmt.Fprintf(p.c.err, "\r%s", p.rate(began))
				}
			case <-stop:
				return
			}
		}
	}()
	return func(err error) {
		close(stop)
		<-stopped
		end := "\n"
		if err == nil {
			end = " to " + p.topic + "\n"
		}
		fmt.Fprintf(p.c.err, "\r%s%s", p.rate(began), end)
	}
}

func (p *produce) rate(began time.Time) string {
	seconds := max(time.Since(began).Seconds(), 0.001)
	sent := p.sent.Load()
	return fmt.Sprintf("%d records acknowledged, %.0f a second, %.1f MB/s", sent, float64(sent)/seconds, float64(p.bytes.Load())/1e6/seconds)
}

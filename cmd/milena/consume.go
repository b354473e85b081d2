package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Consuming walks through here:
//
//	begin   where to start; with --exit also where each partition ends now
//	poll    fetch, write, mark; the group is told what was written, not what was fetched
//	leave   commit the marks, leave the group

const leaveLimit = 5 * time.Second

// consume is `milena consume`.
type consume struct {
	c          *console
	k          *connection
	topic      string
	group      string
	o          []string
	format     string
	output     string
	count      int64
	exit       bool
	failEmpty  bool
	partitions []int32
	limit      time.Duration

	from  start
	given bool // -o, or auto.offset.reset, said where to start
	write recordWriter

	written int64
	mu      sync.Mutex
	ends    map[int32]int64 // with --exit: where each partition ended at first
	at      map[int32]int64 // the next offset to see
	mine    map[int32]bool  // with --exit and a group: what is assigned
	joined  bool
}

func newConsume(c *console) *cobra.Command {
	o := &consume{c: c}
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records",
		Long: `Reads a topic's records and writes each value and a line's end; on a terminal also
where it stands, its time and its key. It goes on until it is interrupted, or until
-n or --exit says that it is enough. Without a group it begins at the end.

Where to begin, -o:
` + offsetsHelp + `

With a group, -o says where to begin only where the group has committed nothing yet.
In what form, -o or --output: json, jsonl (a line a record), yaml. Any other form, -f:
%t topic, %p partition, %o offset, %k key, %v value, %d time, %h{%k=%v } headers; \n \t;
%v{base64}, %v{hex}, %v{python} and %k{python} as Python prints bytes.`,
		Example: `  milena consume greetings -o start
  milena consume orders -o -10 --exit -o json
  milena consume topic-name -g consumer-id -f '%t:%p:%o: key=%k{python} value=%v{python}\n'`,
		Args: cobra.ExactArgs(1),
	}
	o.k = connectionFlags(c, cmd)
	o.k.complete(cmd, 1, topicNames)
	f := cmd.Flags()
	f.StringVarP(&o.group, "group", "g", "", "consumer group; it commits what was written")
	f.StringArrayVarP(&o.o, "offset", "o", nil, "where to begin, or json, jsonl, yaml")
	f.StringVar(&o.output, "output", "", "json, jsonl or yaml")
	f.StringVarP(&o.format, "format", "f", "", "how each record is written")
	f.Int64VarP(&o.count, "number", "n", 0, "stop after so many records")
	f.BoolVarP(&o.exit, "exit", "e", false, "stop at the end that the topic has now")
	f.BoolVar(&o.failEmpty, "fail-if-empty", false, "exit code 3 if there was no record")
	f.Int32SliceVarP(&o.partitions, "partition", "p", nil, "only these partitions (not with a group)")
	f.DurationVar(&o.limit, "timeout", 0, "stop after this time with exit code 124")
	o.k.completeFlag(cmd, "group", groupNames)
	completeWords(cmd, "offset", "start", "end", "json", "jsonl", "yaml")
	completeWords(cmd, "output", "json", "jsonl", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.topic = args[0]
		return o.run(cmd.Context(), cmd)
	}
	return cmd
}

func (o *consume) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.check(time.Now()); err != nil {
		return usage(err, cmd)
	}
	if err := o.k.prepare(cmd); err != nil {
		return err
	}
	if err := o.defaults(time.Now()); err != nil {
		return usage(err, cmd)
	}
	polling := ctx
	if o.limit > 0 {
		var cancel context.CancelFunc
		polling, cancel = context.WithTimeout(ctx, o.limit)
		defer cancel()
	}
	client, err := o.begin(polling, cmd)
	if err != nil {
		return o.timeUp(ctx, polling, err)
	}
	err = o.timeUp(ctx, polling, o.poll(polling, client))
	o.leave(client)
	if err == nil && o.failEmpty && o.written == 0 {
		return notFound("", "topic %s: there was no record", o.topic)
	}
	return err
}

// timeUp gives the end of --timeout its own exit code.
func (o *consume) timeUp(ctx, polling context.Context, err error) error {
	if err != nil && ctx.Err() == nil && polling.Err() != nil {
		return &failure{err: fmt.Errorf("stopped after %v and %d records", o.limit, o.written), code: exitTimeLimit}
	}
	return err
}

// check reads the two meanings of -o, and the form of the output.
func (o *consume) check(now time.Time) (err error) {
	for _, word := range o.o {
		switch word {
		case "json", "jsonl", "yaml":
			o.output = word
			continue
		}
		if o.given {
			return fmt.Errorf("-o %s: where to begin was said before", word)
		}
		if o.from, err = parseStart(word, now); err != nil {
			return err
		}
		o.given = true
	}
	if o.group != "" && len(o.partitions) > 0 {
		return errors.New("--group and --partition exclude each other: a group's partitions are assigned")
	}
	switch {
	case o.format != "" && o.output != "":
		return errors.New("-f and -o " + o.output + " exclude each other")
	case o.format != "":
		o.write, err = newFormat(o.format)
		return err
	case o.output == "json" || o.output == "jsonl":
		o.write = asValue("jsonl")
	case o.output == "yaml":
		o.write = asValue("yaml")
	case o.output != "":
		return fmt.Errorf("--output %s: allowed are json, jsonl, yaml", o.output)
	case o.c.outTerminal:
		o.write = asTable(o.c.colour(true))
	default:
		o.write = func(to []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
			return append(append(to, r.Value...), '\n')
		}
	}
	return nil
}

func asValue(output string) recordWriter {
	return func(to []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
		text := bytes.NewBuffer(to)
		if output == "yaml" {
			text.WriteString("---\n")
		}
		if err := printValue(text, show(r), output); err != nil {
			return to // a struct of strings and numbers can always be written
		}
		return text.Bytes()
	}
}

// defaults takes from the properties what no flag said.
func (o *consume) defaults(now time.Time) (err error) {
	if o.group == "" && len(o.partitions) == 0 {
		o.group = o.k.set.get("group.id")
	}
	if reset := o.k.set.get("auto.offset.reset"); reset != "" && !o.given {
		if o.from, err = parseStart(reset, now); err != nil {
			return fmt.Errorf("auto.offset.reset=%s: allowed are earliest and latest", reset)
		}
		o.given = true
	}
	return nil
}

// begin opens a client that consumes.
func (o *consume) begin(ctx context.Context, cmd *cobra.Command) (*kgo.Client, error) {
	opts := []kgo.Opt{
		kgo.ConsumeResetOffset(o.from.offset()),
		kgo.ConsiderMissingTopicDeletedAfter(0),
	}
	if o.exit {
		opts = append(opts, kgo.KeepControlRecords()) // the end may be one
		if err := o.findEnds(ctx, cmd); err != nil {
			return nil, err
		}
	}
	switch {
	case o.group != "":
		opts = append(opts, o.groupOptions()...)
	case o.exit || len(o.partitions) > 0:
		from := map[int32]kgo.Offset{}
		for _, p := range o.partitions {
			from[p] = o.from.offset()
			if o.exit {
				from[p] = kgo.NewOffset().At(o.at[p])
			}
		}
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: from}))
	default:
		opts = append(opts, kgo.ConsumeTopics(o.topic))
	}
	if o.exit && o.group == "" && o.done() {
		return nil, nil
	}
	client, err := o.k.open(ctx, cmd, opts...)
	if err == nil && o.c.outTerminal && o.c.errTerminal && !o.given && o.group == "" {
		fmt.Fprintln(o.c.err, "Waiting for new records; -o start shows those that are there. End with Ctrl-C.")
	}
	return client, err
}

func (o *consume) groupOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(o.topic), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(o.assigned), kgo.OnPartitionsRevoked(o.revoked), kgo.OnPartitionsLost(o.lost),
	}
	if id := o.k.set.get("group.instance.id"); id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	return opts
}

// findEnds asks, before anything is read, where reading begins and where it
// ends in each partition.
func (o *consume) findEnds(ctx context.Context, cmd *cobra.Command) error {
	return o.k.admin(ctx, cmd, func(ctx context.Context, adm *kadm.Client) error {
		if err := topicExists(ctx, adm, o.topic); err != nil {
			return err
		}
		spans, err := o.from.spans(ctx, adm, o.topic)
		if err != nil {
			return fmt.Errorf("topic %s: %w", o.topic, err)
		}
		o.ends, o.at = map[int32]int64{}, map[int32]int64{}
		for p, s := range spans {
			if len(o.partitions) == 0 || slices.Contains(o.partitions, p) {
				o.ends[p], o.at[p] = s.high, s.from
			}
		}
		for _, p := range o.partitions {
			if _, ok := o.ends[p]; !ok {
				return notFound("milena topic describe "+o.topic, "topic %s has no partition %d", o.topic, p)
			}
		}
		if o.readsCommitted() { // what an open transaction wrote is behind its end
			stable, err := adm.ListCommittedOffsets(ctx, o.topic)
			if err != nil {
				return fmt.Errorf("topic %s: %w", o.topic, err)
			}
			for p := range o.ends {
				if l, ok := stable.Lookup(o.topic, p); ok && l.Err == nil {
					o.ends[p] = l.Offset
				}
			}
		}
		if o.group != "" {
			return o.findCommitted(ctx, adm)
		}
		for p := range o.ends {
			if !slices.Contains(o.partitions, p) {
				o.partitions = append(o.partitions, p)
			}
		}
		return nil
	})
}

func (o *consume) findCommitted(ctx context.Context, adm *kadm.Client) error {
	committed, err := adm.FetchOffsets(ctx, o.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("group %s: %w", o.group, err)
	}
	for p := range o.ends {
		if c, ok := committed.Lookup(o.topic, p); ok && c.Err == nil && c.At >= 0 {
			o.at[p] = c.At
		}
	}
	return nil
}

func (o *consume) assigned(_ context.Context, _ *kgo.Client, got map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.joined = true
	if o.mine == nil {
		o.mine = map[int32]bool{}
	}
	for _, p := range got[o.topic] {
		o.mine[p] = true
	}
}

// revoked commits what was written before another member goes on with it.
func (o *consume) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	_ = client.CommitMarkedOffsets(ctx) // what fails here is read again, by design
	o.lost(ctx, client, gone)
}

func (o *consume) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range gone[o.topic] {
		delete(o.mine, p)
	}
}

// done says whether every partition is read to where it ended.
func (o *consume) done() bool {
	if !o.exit {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.group != "" && !o.joined {
		return false
	}
	return len(o.unread()) == 0
}

// pollLimit is how long a poll waits where the end may be reached without a
// record: an assignment alone can do that.
const (
	pollLimit = 100 * time.Millisecond
	silentMax = time.Second // with --exit, until it is asked why nothing comes
)

func (o *consume) poll(ctx context.Context, client *kgo.Client) error {
	out := bufio.NewWriterSize(o.c.out, 64<<10)
	buffer := make([]byte, 0, 4<<10)
	silent := time.Now()
	for client != nil && !o.done() {
		fetches := o.fetch(ctx, client)
		if fetches.NumRecords() > 0 {
			silent = time.Now()
		} else if o.exit && time.Since(silent) > silentMax {
			o.passTails(ctx, client)
			silent = time.Now()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := o.fetchError(fetches); err != nil {
			return err
		}
		var seen []*kgo.Record
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if failed != nil || o.enough() || o.beyond(r) {
					return
				}
				if !r.Attrs.IsControl() {
					buffer = o.write(buffer[:0], &p.FetchPartition, r)
					_, failed = out.Write(buffer)
					o.written++
				}
				o.passed(r)
				seen = append(seen, r)
			}
		})
		if err := errors.Join(failed, out.Flush()); err != nil {
			return err
		}
		if o.group != "" {
			if o.k.set.get("enable.auto.commit") != "false" {
				client.MarkCommitRecords(seen...)
			}
			client.AllowRebalance()
		}
		if o.enough() {
			return nil
		}
	}
	return nil
}

func (o *consume) fetch(ctx context.Context, client *kgo.Client) kgo.Fetches {
	if !o.exit {
		return client.PollFetches(ctx)
	}
	limit, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	return client.PollFetches(limit)
}

func (o *consume) enough() bool { return o.count > 0 && o.written >= o.count }

// beyond says whether a record came after what --exit ends at.
func (o *consume) beyond(r *kgo.Record) bool {
	end, ok := o.ends[r.Partition]
	return o.exit && ok && r.Offset >= end
}

func (o *consume) passed(r *kgo.Record) { o.moved(r.Partition, r.Offset+1) }

// moved notes the next offset to see.
func (o *consume) moved(partition int32, next int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at != nil {
		o.at[partition] = max(o.at[partition], next)
	}
}

// fetchError gives the first error that waiting will not mend. A topic that is
// not there yet is waited for.
func (o *consume) fetchError(fetches kgo.Fetches) error {
	var first error
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case first != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case kerr.IsRetriable(err), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kgo.ErrClientClosed):
		case partition >= 0 && topic != "":
			first = fmt.Errorf("%s, partition %d: %w", topic, partition, err)
		default:
			first = err
		}
	})
	return first
}

// leave commits what was written and leaves the group, so that another member
// goes on at once.
func (o *consume) leave(client *kgo.Client) {
	if client == nil {
		return
	}
	defer client.CloseAllowingRebalance()
	if o.group == "" {
		return
	}
	limit, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if err := client.CommitMarkedOffsets(limit); err != nil {
		fmt.Fprintf(o.c.err, "group %s: the last records were written but not committed, and will be read again: %s\n", o.group, describe(err))
	}
	client.AllowRebalance()
	_ = client.LeaveGroupContext(limit)
}

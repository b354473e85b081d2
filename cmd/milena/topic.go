package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newTopic(c *console) *cobra.Command {
	return group("topic", "Create, list, describe and delete topics; write and read them",
		newTopicCreate(c), newTopicList(c), newTopicDescribe(c), newTopicDelete(c), newProduce(c), newConsume(c))
}

// told adds what a broker said in words to its error, if it said more than the
// error's name.
func told(what string, err error, message string) error {
	if err == nil {
		return nil
	}
	var known *kerr.Error
	if message != "" && !(errors.As(err, &known) && message == known.Description) {
		return fmt.Errorf("%s: %w (the broker says: %s)", what, err, message)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func newTopicCreate(c *console) *cobra.Command {
	var (
		partitions  int32
		replicas    int16
		configs     []string
		ifNotExists bool
	)
	cmd := &cobra.Command{
		Use:   "create NAME…",
		Short: "Make topics",
		Example: `  milena topic create orders -p 8
  milena topic create accounts -c cleanup.policy=compact -c retention.ms=-1`,
		Args: cobra.MinimumNArgs(1),
	}
	k := connectionFlags(c, cmd)
	f := cmd.Flags()
	f.Int32VarP(&partitions, "partitions", "p", -1, "how many partitions (-1: the broker's default)")
	f.Int16VarP(&replicas, "replicas", "r", -1, "how many copies (-1: the broker's default)")
	f.StringArrayVarP(&configs, "topic-config", "c", nil, "a configuration of the topic, as retention.ms=1000")
	f.BoolVar(&ifNotExists, "if-not-exists", false, "it is no error if the topic is there")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		set := map[string]*string{}
		for _, pair := range configs {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				return usageOf(cmd, "-c %s: it is not key=value", pair)
			}
			set[name] = &value
		}
		return k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			made, err := adm.CreateTopics(ctx, partitions, replicas, set, names...)
			if err != nil {
				return err
			}
			var failed []error
			for _, t := range made.Sorted() {
				switch {
				case errors.Is(t.Err, kerr.TopicAlreadyExists) && ifNotExists:
				case t.Err != nil:
					failed = append(failed, told("topic "+t.Topic, t.Err, t.ErrMessage))
				case c.outTerminal:
					fmt.Fprintf(c.out, "made topic %s\n", t.Topic)
				}
			}
			return errors.Join(failed...)
		})
	}
	return cmd
}

type shownTopic struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Internal   bool   `json:"internal"`
	ID         string `json:"id,omitempty"`
}

func newTopicList(c *console) *cobra.Command {
	var internal bool
	cmd := newList(c, "All topics", func(ctx context.Context, adm *kadm.Client) (listing, error) {
		topics, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return listing{}, err
		}
		shown := []shownTopic{}
		for _, t := range topics.Sorted() {
			if !t.IsInternal || internal {
				shown = append(shown, topicOf(t))
			}
		}
		l := listing{head: []string{"name", "partitions", "replicas"}, json: shown}
		for _, t := range shown {
			l.rows = append(l.rows, []string{t.Name, strconv.Itoa(t.Partitions), strconv.Itoa(t.Replicas)})
		}
		return l, nil
	})
	cmd.Flags().BoolVar(&internal, "internal", false, "also those that brokers keep for themselves")
	return cmd
}

func topicOf(t kadm.TopicDetail) shownTopic {
	shown := shownTopic{Name: t.Topic, Partitions: len(t.Partitions), Internal: t.IsInternal}
	if t.ID != (kadm.TopicID{}) {
		shown.ID = base64.RawURLEncoding.EncodeToString(t.ID[:])
	}
	for _, p := range t.Partitions {
		shown.Replicas = max(shown.Replicas, len(p.Replicas))
	}
	return shown
}

// topicExists gives UNKNOWN_TOPIC_OR_PARTITION for a topic that is not there.
func topicExists(ctx context.Context, adm *kadm.Client, name string) error {
	_, err := describeTopic(ctx, adm, name)
	return err
}

func describeTopic(ctx context.Context, adm *kadm.Client, name string) (kadm.TopicDetail, error) {
	topics, err := adm.ListTopics(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	t, ok := topics[name]
	switch {
	case !ok:
		return t, fmt.Errorf("topic %s: %w", name, kerr.UnknownTopicOrPartition)
	case t.Err != nil:
		return t, fmt.Errorf("topic %s: %w", name, t.Err)
	}
	return t, nil
}

type shownPartition struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"epoch"`
	Replicas  []int32 `json:"replicas"`
	InSync    []int32 `json:"in_sync"`
	Start     int64   `json:"start"`
	End       int64   `json:"end"`
}

type shownConfig struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

type describedTopic struct {
	shownTopic
	PartitionList []shownPartition `json:"partition_list"`
	Configs       []shownConfig    `json:"configs"`
}

func newTopicDescribe(c *console) *cobra.Command {
	return newDescribe(c, "A topic's partitions, offsets and configuration", topicNames, wholeTopic, c.printTopic)
}

func wholeTopic(ctx context.Context, adm *kadm.Client, name string) (describedTopic, error) {
	t, err := describeTopic(ctx, adm, name)
	if err != nil {
		return describedTopic{}, err
	}
	d := describedTopic{shownTopic: topicOf(t), PartitionList: []shownPartition{}, Configs: []shownConfig{}}
	low, err := adm.ListStartOffsets(ctx, name)
	if err != nil {
		return d, err
	}
	high, err := adm.ListEndOffsets(ctx, name)
	if err != nil {
		return d, err
	}
	for _, p := range t.Partitions.Sorted() {
		from, to := int64(-1), int64(-1)
		if o, ok := low.Lookup(name, p.Partition); ok && o.Err == nil {
			from = o.Offset
		}
		if o, ok := high.Lookup(name, p.Partition); ok && o.Err == nil {
			to = o.Offset
		}
		d.PartitionList = append(d.PartitionList, shownPartition{p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, from, to})
	}
	configs, err := adm.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return d, err
	}
	for _, r := range configs {
		if r.Err != nil {
			return d, told("configuration of "+name, r.Err, r.ErrMessage)
		}
		for _, one := range r.Configs {
			d.Configs = append(d.Configs, shownConfig{one.Key, one.Value, one.Source.String()})
		}
	}
	slices.SortFunc(d.Configs, func(a, b shownConfig) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

func (c *console) printTopic(d describedTopic, output string) error {
	partitions := listing{head: []string{"partition", "leader", "epoch", "replicas", "in sync", "start", "end", "records"}, json: d}
	for _, p := range d.PartitionList {
		partitions.rows = append(partitions.rows, []string{
			strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.Epoch)), numbers(p.Replicas), numbers(p.InSync),
			strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10), strconv.FormatInt(max(p.End-p.Start, 0), 10),
		})
	}
	if output != "" && output != "table" || output == "" && !c.outTerminal {
		return c.print(partitions, output)
	}
	fmt.Fprintf(c.out, "%s   %s\n\n", d.Name, d.ID)
	if err := c.print(partitions, output); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	configs := listing{head: []string{"config", "value", "source"}}
	for _, one := range d.Configs {
		value := "[hidden]"
		if one.Value != nil {
			value = *one.Value
		}
		configs.rows = append(configs.rows, []string{one.Name, value, strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(one.Source, "_CONFIG"), "_", " "))})
	}
	return c.print(configs, output)
}

func numbers(list []int32) string {
	var text []string
	for _, n := range list {
		text = append(text, strconv.Itoa(int(n)))
	}
	return strings.Join(text, ",")
}

func newTopicDelete(c *console) *cobra.Command {
	cmd := &cobra.Command{Use: "delete NAME…", Short: "Delete topics and their records", Args: cobra.MinimumNArgs(1)}
	k := connectionFlags(c, cmd)
	k.complete(cmd, 0, topicNames)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			gone, err := adm.DeleteTopics(ctx, names...)
			if err != nil {
				return err
			}
			var failed []error
			for _, t := range gone.Sorted() {
				if t.Err != nil {
					failed = append(failed, told("topic "+t.Topic, t.Err, t.ErrMessage))
				} else if c.outTerminal {
					fmt.Fprintf(c.out, "deleted topic %s\n", t.Topic)
				}
			}
			return errors.Join(failed...)
		})
	}
	return cmd
}

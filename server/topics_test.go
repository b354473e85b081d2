package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestTheLogSaysWhatATopicDoesNotGet(t *testing.T) {
	log := new(notes)
	s := start(t, Options{Memory: true, Config: configure(t, t.TempDir()), Log: slog.New(slog.NewTextHandler(log, nil))})
	defer stop(t, s)
	admin := kadm.NewClient(client(t, s))
	ctx := within(t, time.Minute)
	configs := map[string]*string{
		"compression.type": kadm.StringPtr("gzip"), "cleanup.policy": kadm.StringPtr("compact"), "retention.ms": kadm.StringPtr("1000"),
		"min.insync.replicas": kadm.StringPtr("1"), // as everybody has it
	}
	if _, err := admin.ValidateCreateTopics(ctx, 1, 3, configs, "asked"); err != nil {
		t.Fatal(err)
	}
	if made, err := admin.CreateTopic(ctx, 1, 3, configs, "made"); err != nil || made.Err != nil {
		t.Fatal(err, made.Err)
	}
	for words, want := range map[string]int{
		"topic=asked": 0, "more replicas than the one that is kept\" topic=made asked=3": 1,
		`topic=made key=compression.type value=gzip note="stored, no effect yet: Batches are stored as`: 1,
		`topic=made key=cleanup.policy value=compact note="compact is accepted and keys are enforced`:   1,
		"key=retention.ms": 0, "key=min.insync.replicas": 0,
	} {
		if got := log.count(words); got != want {
			t.Errorf("%d lines with %s, want %d", got, words, want)
		}
	}
	described, err := admin.DescribeTopicConfigs(ctx, "made")
	if err != nil || len(described) != 1 {
		t.Fatal(err)
	}
	for _, c := range described[0].Configs {
		if want := configs[c.Key]; want != nil && (c.MaybeValue() != *want || c.Source.String() != "DYNAMIC_TOPIC_CONFIG") {
			t.Errorf("%s is %s from %v, want %s", c.Key, c.MaybeValue(), c.Source, *want)
		}
	}
}

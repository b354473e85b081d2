package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// start is where consuming begins: the words behind -o.
type start struct {
	kind startKind
	n    int64 // an offset, a distance, or milliseconds
}

type startKind int

const (
	fromEnd    startKind = iota // end, -N
	fromStart                   // start, +N
	fromOffset                  // N
	fromTime                    // @time
)

const offsetsHelp = `start      from the first record        +N   N records after it
end        only new records             -N   the last N records of each partition
N          from this offset             @T   from a time: 2026-11-24, 2026-11-24T10:00:00Z,
                                             -90m, seconds or milliseconds since 1970`

// parseStart understands -o. Now is what "-1h" counts from.
func parseStart(text string, now time.Time) (start, error) {
	switch strings.ToLower(text) {
	case "start", "oldest", "earliest", "beginning":
		return start{kind: fromStart}, nil
	case "end", "newest", "latest":
		return start{kind: fromEnd}, nil
	}
	if at, ok := strings.CutPrefix(text, "@"); ok {
		ms, err := parseTime(at, now)
		return start{fromTime, ms}, err
	}
	n, err := strconv.ParseInt(strings.TrimLeft(text, "+-"), 10, 64)
	if err != nil || len(text)-len(strings.TrimLeft(text, "+-")) > 1 {
		return start{}, fmt.Errorf("-o %s: allowed are start, end, N, +N, -N, @time; and for the form of the output json, jsonl, yaml", text)
	}
	switch text[0] {
	case '+':
		return start{fromStart, n}, nil
	case '-':
		return start{fromEnd, n}, nil
	}
	return start{fromOffset, n}, nil
}

const secondsMax = 100_000_000_000 // larger numbers are milliseconds

func parseTime(text string, now time.Time) (ms int64, err error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		if n < secondsMax {
			n *= 1000
		}
		return n, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d <= 0 {
		return now.Add(d).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("-o @%s: it is no time: 2026-11-24, 2026-11-24T10:00:00Z, -90m, or seconds since 1970", text)
}

// offset is the same in the client's words.
func (s start) offset() kgo.Offset {
	switch s.kind {
	case fromStart:
		return kgo.NewOffset().AtStart().Relative(s.n)
	case fromOffset:
		return kgo.NewOffset().At(s.n)
	case fromTime:
		return kgo.NewOffset().AfterMilli(s.n)
	}
	return kgo.NewOffset().AtEnd().Relative(-s.n)
}

// span is what a partition holds, and where reading it begins.
type span struct{ low, high, from int64 }

// spans asks what every partition holds now and where the start lies in it.
func (s start) spans(ctx context.Context, adm *kadm.Client, topic string) (map[int32]span, error) {
	low, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = low.Error()
	}
	if err != nil {
		return nil, err
	}
	high, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = high.Error()
	}
	if err != nil {
		return nil, err
	}
	var after kadm.ListedOffsets
	if s.kind == fromTime {
		if after, err = adm.ListOffsetsAfterMilli(ctx, s.n, topic); err == nil {
			err = after.Error()
		}
		if err != nil {
			return nil, err
		}
	}
	spans := map[int32]span{}
	low.Each(func(l kadm.ListedOffset) {
		end, _ := high.Lookup(topic, l.Partition)
		at, _ := after.Lookup(topic, l.Partition)
		spans[l.Partition] = span{l.Offset, end.Offset, s.within(l.Offset, end.Offset, at.Offset)}
	})
	return spans, nil
}

// within is where the start lies in a partition that holds [low, high).
func (s start) within(low, high, after int64) int64 {
	from := high - s.n
	switch s.kind {
	case fromStart:
		from = low + s.n
	case fromOffset:
		from = s.n
	case fromTime:
		from = after
	}
	return max(low, min(from, high))
}

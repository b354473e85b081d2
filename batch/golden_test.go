package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// golden is a batch that was sent to Apache Kafka, and what became of it.
type golden struct {
	name    string
	version int16
	configs []string
	sent    []byte
	code    int16
	flaws   []string // index and text
	text    string
	stored  []byte
}

// otherwise are the cases that we answer otherwise on purpose.
var otherwise = map[string]struct {
	code int16
	why  string
}{
	"x-codec-5":                {76, "Kafka's -1 says nothing"},
	"x-codec-6":                {76, "Kafka's -1 says nothing"},
	"x-codec-7":                {76, "Kafka's -1 says nothing"},
	"x-codec-gzip-garbage":     {0, "a batch is not opened"},
	"x-codec-lz4-garbage":      {0, "a batch is not opened"},
	"x-codec-snappy-garbage":   {0, "a batch is not opened"},
	"x-codec-gzip-count-lie":   {0, "a batch is not opened"},
	"x-codec-snappy-count-lie": {0, "a batch is not opened"},
	"x-codec-zstd-count-lie":   {0, "a batch is not opened"},
	"x-record-delta-gap":       {87, "a consumer would jump over the offsets of others"},
	"x-record-delta-same":      {87, "a consumer would see an offset twice"},
}

func readGolden(t testing.TB) (all []golden) {
	text, err := os.ReadFile("testdata/produce-4.3.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		lines := strings.Split(block, "\n")
		head := strings.Fields(lines[0])
		version, err := strconv.Atoi(strings.TrimPrefix(head[1], "v"))
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: head[0], version: int16(version), configs: head[2:]}
		for _, line := range lines[1:] {
			word, rest, _ := strings.Cut(line, " ")
			switch word {
			case "send":
				g.sent = unhex(t, rest)
			case "stored":
				g.stored = unhex(t, rest)
			case "flaw":
				g.flaws = append(g.flaws, rest)
			case "text":
				g.text = rest
			default:
				code, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				g.code = int16(code)
			}
		}
		all = append(all, g)
	}
	return all
}

func unhex(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (g golden) rules(t testing.TB) Rules {
	r := Rules{
		Version: g.version, MaxBytes: 1048588, Now: 1_790_000_000_000,
		BeforeMax: math.MaxInt64, AfterMax: 3_600_000, Name: "00-produce-" + g.name + "-0",
	}
	for _, config := range g.configs {
		switch config {
		case "cleanup.policy=compact":
			r.Compact = true
		case "message.timestamp.type=LogAppendTime":
			r.LogAppendTime = true
		case "max.message.bytes=200":
			r.MaxBytes = 200
		case "retention.ms=-1":
		default:
			t.Fatalf("%s: no rule for %s", g.name, config)
		}
	}
	return r
}

// codeOf is the Kafka code of an error.
func codeOf(err error) int16 {
	var known *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &known):
		return known.Code
	}
	return -1
}

var times = regexp.MustCompile(`\[-?\d+, \d+\]`)

func TestBatchesAreAnsweredAsByKafka(t *testing.T) {
	all := readGolden(t)
	if len(all) != 63 {
		t.Fatalf("%d cases, want 63", len(all))
	}
	for _, g := range all {
		t.Run(fmt.Sprintf("%s v%d", g.name, g.version), func(t *testing.T) {
			rules, sent := g.rules(t), bytes.Clone(g.sent)
			h, flaws, err := Check(sent, rules)
			want := g.code
			if other, ours := otherwise[g.name]; ours && want != 76 {
				if other.code == want {
					t.Errorf("is listed as answered otherwise, but is not")
				}
				want = other.code
			}
			if got := codeOf(err); got != want {
				t.Fatalf("code %d (%v), want %d", got, err, want)
			}
			if g.text != "" && !strings.HasSuffix(err.Error(), g.text) {
				t.Errorf("text %q, want %q", err, g.text)
			}
			var told []string
			for _, f := range flaws {
				told = append(told, fmt.Sprintf("%d %s", f.Index, times.ReplaceAllString(f.Message, "[{time}, {time}]")))
			}
			if fmt.Sprint(told) != fmt.Sprint(g.flaws) {
				t.Errorf("flaws %q, want %q", told, g.flaws)
			}
			if err == nil && g.code == 0 {
				g.compareStored(t, sent[:h.Size()], rules)
			}
		})
	}
}

// compareStored looks whether we would store what Kafka stored. Where Kafka
// stamped its own time, only that time and the CRC differ.
func (g golden) compareStored(t *testing.T, sent []byte, r Rules) {
	if g.stored == nil {
		return
	}
	Stamp(sent, 0, 0)
	if r.LogAppendTime {
		const normalised = 1_799_999_999_999
		StampAppendTime(sent, normalised)
		copy(g.stored[17:21], sent[17:21])
	}
	if !bytes.Equal(sent, g.stored) {
		t.Errorf("stored\n%x, want\n%x", sent, g.stored)
	}
	if h, _ := Parse(sent); Sum(sent) != h.CRC {
		t.Error("the CRC of what is stored is wrong")
	}
}

package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var rewrite = flag.Bool("rewrite", false, "write docs/compatibility.md anew")

const compatibilityPage = "../docs/compatibility.md"

// page is the compatibility page, made from the table.
func page() string {
	var b strings.Builder
	b.WriteString("# Which APIs are served\n\nThis page is made from the table in `api/apis.go`; a test keeps it current. What is not complete is not advertised.\n\n| key | API | versions |\n|---|---|---|\n")
	for _, r := range table() {
		note := ""
		if r.key == int16(kmsg.Produce) {
			note = fmt.Sprintf(" (advertised from 0, as Kafka 4 does; below %d the connection is closed)", produceVersionMin)
		}
		fmt.Fprintf(&b, "| %d | %s | %d–%d%s |\n", r.key, kmsg.NameForKey(r.key), r.min, r.max, note)
	}
	b.WriteString("\n# Which clients are tested\n\n| client | what |\n|---|---|\n" +
		"| kafka-python 2.0.1 | the page's four programs, unmodified: PLAINTEXT, SASL_PLAINTEXT and SASL_SSL by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; groups; kill and restart; every way in which it goes wrong |\n" +
		"| kafka-python 2.2.15 | SASL_SSL, produce, headers, group |\n| confluent-kafka-python 2.11.1 | SASL_SSL, idempotent, gzip, snappy, lz4, zstd, group |\n" +
		"| kcat (Debian's) | every codec; SASL_SSL by each mechanism |\n| franz-go | groups, kill -9 and power cuts under load |\n| Kafka 4.3.1's console tools | topics, console producer and consumer, consumer groups; SASL_SSL with client.jks |\n")
	return b.String()
}

func TestTheCompatibilityPageIsCurrent(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(compatibilityPage, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(compatibilityPage)
	if err != nil || string(got) != page() {
		t.Errorf("%s is not what the table says (%v): go test ./api -rewrite", compatibilityPage, err)
	}
}

// Fetch begins where record batches do.
func TestRowsGoFromTheFirstVersionToTheNewestThatTheCodecKnows(t *testing.T) {
	last := int16(-1)
	for _, r := range table() {
		if r.key <= last {
			t.Errorf("%s stands behind key %d", kmsg.NameForKey(r.key), last)
		}
		last = r.key
		first := int16(0)
		if r.key == int16(kmsg.Fetch) {
			first = 4
		}
		if newest := kmsg.RequestForKey(r.key).MaxVersion(); r.min != first || r.max != newest {
			t.Errorf("%s is offered from %d to %d, want %d to %d", kmsg.NameForKey(r.key), r.min, r.max, first, newest)
		}
	}
}

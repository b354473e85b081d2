//go:build e2e

package golden

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What differs from run to run becomes the same: ids that a broker draws, its
// ports, the time. testdata/README.md has the list.

const (
	wallClock     = 1_799_999_999_999 // every time that is not of a case's records
	recordTimeMax = 1_750_000_000_000 // records of the cases are older, the wall clock is not
	lifetimeStep  = 500               // ms: what is left of a sign-in is rounded up to these
	firstProducer = 9000
	ownProducer   = 4_000_001 // a producer id that cases make up
)

// seen is what one side's answers in a case have named so far.
type seen struct {
	slug   string // of the case, if foreign list entries are dropped
	gold   bool   // the answers are normal already
	ports  map[string]string
	mu     *sync.Mutex
	topics map[[16]byte]string
	names  map[string]string // member ids and producer ids → their normal form
	count  map[string]int
}

func newSeen(b Broker, c Case) *seen {
	s := &seen{mu: new(sync.Mutex), topics: make(map[[16]byte]string), names: make(map[string]string), count: make(map[string]int), ports: make(map[string]string)}
	if c.Own {
		s.slug = c.Slug()
	}
	for listener, port := range map[string]string{"PLAINTEXT": "9092", "SASL_PLAINTEXT": "9093", "SASL_SSL": "9094", "REAUTH": "9095"} {
		if _, bound, err := net.SplitHostPort(b.Addresses[listener]); err == nil {
			s.ports[bound] = port
		}
	}
	return s
}

func (s *seen) golden() *seen { return &seen{gold: true} }

func (s *seen) topic(name string, id [16]byte) { s.topics[id] = name }

// numbered gives a name its place in order of appearance.
func (s *seen) numbered(kind, name string, first int) string {
	key := kind + " " + name
	if s.names[key] == "" {
		s.names[key] = strconv.Itoa(first + s.count[kind])
		s.count[kind]++
	}
	return s.names[key]
}

func (s *seen) id(id [16]byte) [16]byte {
	name, known := s.topics[id]
	switch {
	case s.gold, id == [16]byte{}, id == [16]byte(slices.Repeat([]byte{0x11}, 16)):
		return id
	case known:
		name = "golden:topic " + name
	default:
		name = "golden:other"
	}
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

var (
	uuidText   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	memberText = regexp.MustCompile(`^.*` + uuidText.String() + `$`)
	idText     = regexp.MustCompile(`[A-Za-z0-9_-]{22}`)
	timesText  = regexp.MustCompile(`\[-?\d{13,}, -?\d{13,}\]`) // the bounds of a record's time
)

func (s *seen) text(field, v string) string {
	switch {
	case s.gold:
		return v
	case field == "ClusterID":
		return "{cluster}"
	case memberText.MatchString(v):
		return "{member" + s.numbered("member", v, 1) + "}"
	}
	v = uuidText.ReplaceAllString(v, "{uuid}")
	v = timesText.ReplaceAllString(v, "[{time}, {time}]")
	return idText.ReplaceAllStringFunc(v, func(word string) string {
		b, err := base64.RawURLEncoding.DecodeString(word)
		if name, ok := s.topics[[16]byte(append(b, make([]byte, 16)...)[:16])]; err == nil && ok {
			return "{id:" + name + "}"
		}
		return word
	})
}

func (s *seen) number(field string, v int64) int64 {
	switch {
	case s.gold:
		return v
	case field == "Port" && v > 0:
		port, err := strconv.ParseInt(s.ports[strconv.FormatInt(v, 10)], 10, 64)
		if err != nil {
			port = 9099
		}
		return port
	case field == "ProducerID" && v >= 0 && v != ownProducer:
		n, _ := strconv.ParseInt(s.numbered("producer", strconv.FormatInt(v, 10), firstProducer), 10, 64)
		return n
	case field == "SessionLifetimeMillis":
		return (v/slower + lifetimeStep - 1) / lifetimeStep * lifetimeStep
	case v > recordTimeMax:
		return wallClock
	}
	return v
}

// withPort is an answer that can't be read, with the broker's port made normal.
func (s *seen) withPort(b []byte) []byte {
	for bound, normal := range s.ports {
		from, _ := strconv.ParseUint(bound, 10, 16)
		to, _ := strconv.ParseUint(normal, 10, 16)
		b = bytes.ReplaceAll(b, binary.BigEndian.AppendUint32(nil, uint32(from)), binary.BigEndian.AppendUint32(nil, uint32(to)))
	}
	return b
}

// records is a batch in words; what a broker stamps into it is made normal.
func (s *seen) records(b []byte) string {
	var text strings.Builder
	for len(b) > 0 {
		if len(b) < 61 || len(b) < 12+int(binary.BigEndian.Uint32(b[8:])) {
			return text.String() + " " + hex.EncodeToString(b)
		}
		one := b[:12+int(binary.BigEndian.Uint32(b[8:]))]
		b = b[len(one):]
		base, last := int64(binary.BigEndian.Uint64(one[27:])), int64(binary.BigEndian.Uint64(one[35:]))
		producer := int64(binary.BigEndian.Uint64(one[43:]))
		fmt.Fprintf(&text, "base=%d epoch=%d attributes=%d last=%d times=%d..%d producer=%d/%d sequence=%d records=%x ",
			binary.BigEndian.Uint64(one), binary.BigEndian.Uint32(one[12:]), binary.BigEndian.Uint16(one[21:]), binary.BigEndian.Uint32(one[23:]),
			s.number("", base), s.number("", last), s.number("ProducerID", producer), int16(binary.BigEndian.Uint16(one[51:])),
			int32(binary.BigEndian.Uint32(one[53:])), one[57:])
	}
	return text.String()
}

// uncompared are fields that say what a broker is, not how it answers, and two
// that belong to the codec.
var uncompared = []string{
	"Version", "UnknownTags",
	"ApiKeys", "SupportedFeatures", "FinalizedFeatures", "FinalizedFeaturesEpoch",
}

// lines tells an answer in lines, one a field.
func lines(resp kmsg.Response, s *seen) []string {
	return s.walk("", reflect.ValueOf(resp).Elem(), nil)
}

func (s *seen) walk(field string, v reflect.Value, out []string) []string {
	name := field[strings.LastIndexByte(field, '.')+1:]
	say := func(text string) []string { return append(out, field+" = "+text) }
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return say("null")
		}
		return s.walk(field, v.Elem(), out)
	case reflect.Struct:
		s.blank(v)
		for i := range v.NumField() {
			if f := v.Type().Field(i); !slices.Contains(uncompared, f.Name) {
				out = s.walk(strings.TrimPrefix(field+"."+f.Name, "."), v.Field(i), out)
			}
		}
		return out
	case reflect.Array:
		return say(fmt.Sprintf("%x", s.id(v.Interface().([16]byte))))
	case reflect.Slice:
		return s.list(field, v, out)
	case reflect.String:
		return say(strconv.Quote(s.text(name, v.String())))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if name == "ErrorCode" {
			return say(codeName(int16(v.Int())))
		}
		return say(strconv.FormatInt(s.number(name, v.Int()), 10))
	}
	return say(fmt.Sprint(v.Interface()))
}

// eligible is a topic's key that Kafka 4 sets for the whole cluster once the
// feature "eligible leader replicas" is on.
const eligible = "min.insync.replicas"

// blank empties what means nothing or is nobody's to copy: where the log starts,
// in the answer to a batch that was refused (Kafka fills it in by the layer that
// refused), and what keys are for, in words.
func (s *seen) blank(v reflect.Value) {
	switch v := v.Addr().Interface().(type) {
	case *kmsg.ProduceResponseTopicPartition:
		if v.ErrorCode != 0 {
			v.LogStartOffset = -1
		}
	case *kmsg.CreateTopicsResponseTopicConfig:
		if v.Name == eligible {
			v.Source = 5
		}
	case *kmsg.DescribeConfigsResponseResourceConfig:
		if v.Name == eligible {
			v.Source, v.ConfigSynonyms = 5, nil
		}
		if v.Documentation != nil {
			v.Documentation = nil
		}
	}
}

func codeName(code int16) string {
	if code == 0 {
		return "0"
	}
	if err := kerr.TypedErrorForCode(code); err != nil {
		return fmt.Sprintf("%d %s", code, err.Message)
	}
	return strconv.Itoa(int(code))
}

// list tells a list's entries, sorted: Kafka takes most of its lists from maps.
func (s *seen) list(field string, v reflect.Value, out []string) []string {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if strings.HasSuffix(field, "RecordBatches") {
			return append(out, field+" = "+s.records(v.Bytes()))
		}
		return append(out, fmt.Sprintf("%s = %x", field, v.Bytes()))
	}
	var entries []string
	for i := range v.Len() {
		if s.foreign(v.Index(i)) {
			continue
		}
		entries = append(entries, strings.Join(s.walk(field, v.Index(i), nil), "\n"))
	}
	slices.Sort(entries)
	out = append(out, fmt.Sprintf("%s: %d", field, len(entries)))
	for i, e := range entries {
		for line := range strings.SplitSeq(e, "\n") {
			out = append(out, strings.Replace(line, field, field+"."+strconv.Itoa(i), 1))
		}
	}
	return out
}

// foreign says that a list's entry belongs to another case.
func (s *seen) foreign(v reflect.Value) bool {
	if s.slug == "" || v.Kind() != reflect.Struct {
		return false
	}
	for _, name := range []string{"Topic", "Group", "User"} {
		f := v.FieldByName(name)
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.Kind() == reflect.String {
			return !strings.HasPrefix(f.String(), s.slug)
		}
	}
	return false
}

// compare gives the lines that differ. A text where Kafka has none is no
// difference: more is told.
func compare(got, want []string) (differences []string) {
	values := make(map[string]string)
	for _, line := range want {
		name, value := splitLine(line)
		values[name] = value
	}
	for _, line := range got {
		name, value := splitLine(line)
		wanted, ok := values[name]
		delete(values, name)
		if !ok {
			wanted = "nothing"
		}
		told := (wanted == "null" || wanted == `""`) && strings.HasSuffix(name, "ErrorMessage")
		if value != wanted && !told {
			differences = append(differences, fmt.Sprintf("%s: %s, want %s", name, shorten(value), shorten(wanted)))
		}
	}
	for _, line := range want {
		if name, value := splitLine(line); values[name] != "" {
			differences = append(differences, fmt.Sprintf("%s: nothing, want %s", name, shorten(value)))
		}
	}
	return differences
}

func splitLine(line string) (name, value string) {
	if name, value, ok := strings.Cut(line, " = "); ok {
		return name, value
	}
	name, value, _ = strings.Cut(line, ": ")
	return name, value
}

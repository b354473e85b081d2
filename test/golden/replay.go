//go:build e2e

package golden

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// How long an answer may take, and how long silence is waited for.
const (
	answerTime = 60 * time.Second
	quietTime  = 400 * time.Millisecond
)

// slower is how many times longer than the recorded broker's a sign-in on
// REAUTH lasts here, and every pause of a case: on a busy machine a request may
// come late, and still has to come in time.
const slower = 8

const differencesTold = 5 // of one answer

// errLeftOut: the case asks for something that this package or the broker can't do.
var errLeftOut = errors.New("left out")

// Broker is what is asked.
type Broker struct {
	Addresses map[string]string // by listener
	Served    map[int16]bool    // API keys
}

// Replay runs a case, and tells each difference in a line.
func Replay(b Broker, c Case) (differences []string, err error) {
	r := &replay{broker: b, c: c, conns: make(map[string]*conn), vars: make(map[string][]byte), seen: newSeen(b, c)}
	defer r.close()
	for _, s := range c.Steps {
		if key, _, ok := s.key(); ok && !b.Served[key] {
			return nil, fmt.Errorf("%w: API %d is not served", errLeftOut, key)
		}
	}
	for _, s := range c.Steps {
		if err := r.step(s); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", s.Line, s.Verb, err)
		}
	}
	return r.differences, nil
}

type replay struct {
	broker      Broker
	c           Case
	conns       map[string]*conn
	vars        map[string][]byte
	seen        *seen
	differences []string
}

// conn is one connection, and the requests whose answers are still to come.
type conn struct {
	net.Conn
	asked       []asked
	correlation int32 // of set-up requests: negative
}

type asked struct {
	key, version int16
	decodes      bool
}

func (r *replay) close() {
	for _, c := range r.conns {
		c.Close()
	}
}

func (r *replay) conn(name string) (*conn, error) {
	if c := r.conns[name]; c != nil {
		return c, nil
	}
	return r.dial(name, "PLAINTEXT")
}

func (r *replay) dial(name, listener string) (*conn, error) {
	address, ok := r.broker.Addresses[listener]
	if !ok {
		return nil, fmt.Errorf("%w: there is no listener %s", errLeftOut, listener)
	}
	dialer := net.Dialer{Timeout: answerTime, LocalAddr: r.source()}
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	r.conns[name] = &conn{Conn: c}
	return r.conns[name], nil
}

// source is a loopback address of a sign-in case's own: a broker may hold back
// what it answers an address from which many sign-ins failed.
func (r *replay) source() net.Addr {
	if !strings.HasPrefix(r.c.Name, "sasl/") {
		return nil
	}
	sum := crc32.ChecksumIEEE([]byte(r.c.Name))
	return &net.TCPAddr{IP: net.IPv4(127, byte(sum>>16), byte(sum>>8), byte(sum)|1)}
}

func (r *replay) step(s Step) error {
	switch s.Verb {
	case "topic":
		return r.topic(s)
	case "produce":
		return r.produce(s)
	case "conn":
		_, err := r.dial(s.arg(0), s.arg(1))
		return err
	case "auth":
		return r.auth(s)
	case "send", "raw":
		return r.send(s)
	case "wait":
		d, err := time.ParseDuration(s.arg(0))
		time.Sleep(slower * d)
		return err
	case "fin", "close":
		return r.hangUp(s)
	case "recv":
		return r.recv(s)
	}
	return fmt.Errorf("%w: no such step", errLeftOut)
}

// topic makes a topic as the cases expect it: nothing is ever removed unless asked for.
func (r *replay) topic(s Step) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	t := kmsg.NewCreateTopicsRequestTopic()
	partitions, err := strconv.Atoi(s.arg(1))
	if err != nil {
		return err
	}
	t.Topic, t.NumPartitions, t.ReplicationFactor = s.arg(0), int32(partitions), 1
	retention := "-1"
	for _, pair := range s.Args[2:] {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		name, value, _ := strings.Cut(pair, "=")
		if name == "retention.ms" {
			retention = value
			continue
		}
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = "retention.ms", &retention
	t.Configs = append(t.Configs, c)
	req.Topics = append(req.Topics, t)
	resp, err := r.ask(req)
	if err != nil {
		return err
	}
	made := resp.(*kmsg.CreateTopicsResponse).Topics[0]
	if made.ErrorCode != 0 {
		return fmt.Errorf("error %d", made.ErrorCode)
	}
	r.vars["id-"+made.Topic] = made.TopicID[:]
	r.seen.topic(made.Topic, made.TopicID)
	return nil
}

func (r *replay) produce(s Step) error {
	batch, err := hex.DecodeString(s.arg(2))
	if err != nil {
		return err
	}
	index, err := strconv.Atoi(s.arg(1))
	if err != nil {
		return err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, -1, 5000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, p.Partition, p.Records = s.arg(0), int32(index), batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := r.ask(req)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("error %d", code)
	}
	return nil
}

// ask is a set-up request on a connection of its own.
func (r *replay) ask(req kmsg.Request) (kmsg.Response, error) {
	c, err := r.conn(" set-up")
	if err != nil {
		return nil, err
	}
	return c.ask(req)
}

func (c *conn) ask(req kmsg.Request) (kmsg.Response, error) {
	c.correlation--
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("golden"))
	if _, err := c.Write(f.AppendRequest(nil, req, c.correlation)); err != nil {
		return nil, err
	}
	b, err := c.frame(answerTime)
	if err != nil {
		return nil, err
	}
	return decode(req.Key(), req.GetVersion(), b)
}

// auth signs in by PLAIN.
func (r *replay) auth(s Step) error {
	c, err := r.conn(s.arg(0))
	if err != nil {
		return err
	}
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Version, hello.Mechanism = 1, "PLAIN"
	if _, err := c.ask(hello); err != nil {
		return err
	}
	token := kmsg.NewPtrSASLAuthenticateRequest()
	token.SASLAuthBytes = []byte("\x00" + s.arg(1) + "\x00" + s.arg(2))
	resp, err := c.ask(token)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.SASLAuthenticateResponse).ErrorCode; code != 0 {
		return fmt.Errorf("error %d", code)
	}
	return nil
}

func (r *replay) send(s Step) error {
	c, err := r.conn(s.arg(0))
	if err != nil {
		return err
	}
	b, err := r.fill(strings.Trim(s.Args[len(s.Args)-1], `"`)) // "" is a frame of no bytes
	if err != nil {
		return err
	}
	one := asked{}
	one.key, one.version, one.decodes = s.key()
	if s.Verb == "send" || one.decodes {
		c.asked = append(c.asked, one)
	}
	if s.Verb == "send" {
		b = append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	_, err = c.Write(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // the broker closed: the next recv says so
	}
	return err
}

var token = regexp.MustCompile(`\{(\w+):([^}]*)\}`)

// fill puts what the broker gave earlier into a request: {uuid:NAME} and alike,
// then {crc32c:N}, the checksum of the N bytes behind it.
func (r *replay) fill(text string) ([]byte, error) {
	text = token.ReplaceAllStringFunc(text, func(whole string) string {
		m := token.FindStringSubmatch(whole)
		if m[1] == "crc32c" {
			return whole
		}
		return hex.EncodeToString(r.variable(m[1], m[2]))
	})
	for {
		at := token.FindStringSubmatchIndex(text)
		if at == nil {
			return hex.DecodeString(text)
		}
		n, err := strconv.Atoi(text[at[4]:at[5]])
		if err != nil || at[1]+2*n > len(text) {
			return nil, fmt.Errorf("a checksum over %s bytes: %w", text[at[4]:at[5]], io.ErrUnexpectedEOF)
		}
		covered, err := hex.DecodeString(text[at[1] : at[1]+2*n])
		if err != nil {
			return nil, err
		}
		sum := crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli))
		text = fmt.Sprintf("%s%08x%s", text[:at[0]], sum, text[at[1]:])
	}
}

// variable is a value in the form that a token asks for; one that was never
// captured is zero of its kind.
func (r *replay) variable(kind, name string) []byte {
	v := r.vars[name]
	switch kind {
	case "uuid":
		return append(bytes.Clone(v), make([]byte, 16-len(v))...)
	case "i64":
		return append(make([]byte, 8-len(v)), v...)
	case "i32":
		return append(make([]byte, 4-len(v)), v...)
	case "str":
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(v))), v...)
	}
	return append(binary.AppendUvarint(nil, uint64(len(v))+1), v...) // cstr
}

func (r *replay) hangUp(s Step) error {
	c, err := r.conn(s.arg(0))
	if err != nil {
		return err
	}
	if half, ok := c.Conn.(*net.TCPConn); ok && s.Verb == "fin" {
		return half.CloseWrite()
	}
	return c.Close()
}

// recv takes one answer, and compares it.
func (r *replay) recv(s Step) error {
	c, err := r.conn(s.arg(0))
	if err != nil {
		return err
	}
	within := answerTime
	if s.Want == "no answer, open" { // whatever else is wanted is waited for
		within = quietTime
	}
	b, err := c.frame(within)
	switch {
	case err == nil && s.has("raw"):
		r.same(s, strings.TrimSpace(s.Want), strings.TrimSpace("token "+hex.EncodeToString(b)))
	case err == nil:
		r.answered(s, c, b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.same(s, s.Want, "no answer, open")
	default:
		r.same(s, s.Want, "closed")
	}
	return nil
}

func (r *replay) same(s Step, want, got string) {
	if want != got {
		r.differ(s, "%s, want %s", shorten(got), shorten(want))
	}
}

func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

func (r *replay) differ(s Step, format string, args ...any) {
	r.differences = append(r.differences, fmt.Sprintf("line %d: ", s.Line)+fmt.Sprintf(format, args...))
}

func (c *conn) frame(within time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	const answerMax = 64 << 20
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > answerMax {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// answered compares an answer field by field.
func (r *replay) answered(s Step, c *conn, b []byte) {
	var one asked
	if len(c.asked) > 0 {
		one, c.asked = c.asked[0], c.asked[1:]
	}
	text, ok := strings.CutPrefix(s.Want, "< ")
	if !ok || !one.decodes {
		r.same(s, s.Want, "< "+hex.EncodeToString(r.seen.withPort(b)))
		return
	}
	wanted, err := hex.DecodeString(text)
	if err != nil {
		r.differ(s, "the golden answer is no hex: %v", err)
		return
	}
	got, err := decode(one.key, one.version, b)
	if err != nil {
		r.differ(s, "the answer can't be read: %v: %x", err, b)
		return
	}
	want, err := decode(one.key, one.version, wanted)
	if err != nil {
		r.differ(s, "the golden answer can't be read: %v", err)
		return
	}
	if !bytes.Equal(b[:4], wanted[:4]) {
		r.differ(s, "correlation id %x, want %x", b[:4], wanted[:4])
	}
	differences := compare(lines(got, r.seen), lines(want, r.seen.golden()))
	for _, d := range differences[:min(len(differences), differencesTold)] {
		r.differ(s, "%s v%d %s", kmsg.NameForKey(one.key), one.version, d)
	}
	r.capture(s, got) // behind the comparison: an id has no name in the answer that tells it first
}

// capture keeps values of an answer for later requests: VAR=Path.
func (r *replay) capture(s Step, resp kmsg.Response) {
	for _, a := range s.Args[1:] {
		name, path, ok := strings.Cut(a, "=")
		if !ok || name == "within" {
			continue
		}
		v := reflect.ValueOf(resp).Elem()
		for field := range strings.SplitSeq(path, ".") {
			if i, err := strconv.Atoi(field); err == nil && i < v.Len() {
				v = v.Index(i)
			} else if v.Kind() == reflect.Struct {
				v = v.FieldByName(field)
			}
		}
		switch {
		case v.Kind() == reflect.String:
			r.vars[name] = []byte(v.String())
		case v.CanInt() && v.Type().Size() == 8:
			r.vars[name] = binary.BigEndian.AppendUint64(nil, uint64(v.Int()))
		case v.CanInt():
			r.vars[name] = binary.BigEndian.AppendUint32(nil, uint32(v.Int()))
		case v.Kind() == reflect.Array:
			id := v.Interface().([16]byte)
			r.vars[name] = id[:]
			if topic, ok := strings.CutPrefix(name, "id-"); ok {
				r.seen.topic(topic, id)
			}
		}
	}
}

// decode reads an answer behind its length.
func decode(key, version int16, b []byte) (kmsg.Response, error) {
	resp := kmsg.ResponseForKey(key)
	if resp == nil || len(b) < 4 {
		return nil, fmt.Errorf("%d bytes for API %d", len(b), key)
	}
	b = b[4:]
	resp.SetVersion(version)
	switch {
	case key == int16(kmsg.ApiVersions):
		if len(b) >= 2 && b[0] == 0 && b[1] == 35 { // unsupported: told in version 0
			resp.SetVersion(0)
		}
	case resp.IsFlexible():
		if len(b) < 1 || b[0] != 0 {
			return nil, errors.New("the answer's header has no tag byte")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, err
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("%d bytes, but what they say takes %d", len(b), len(again))
	}
	return resp, nil
}

package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A client comes to its records in these steps. The doctor takes them one by
// one, stops at the first that breaks, and says which it was:
//
//	tcp         each broker that was named
//	tls         chain, name, expiry
//	versions    ApiVersions: is it Kafka, and which
//	sign in     SASL
//	advertised  every address that the brokers tell clients to use
//	records     one written and read back

const (
	expirySoon    = 30 * 24 * time.Hour
	roundTripTime = 20 * time.Second
)

type doctor struct {
	c     *console
	k     *connection
	topic string

	seed   string // the first broker that answered
	client *kgo.Client
}

func newDoctor(c *console) *cobra.Command {
	d := &doctor{c: c}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why a client cannot connect",
		Long: `Walks the way of a client: TCP, TLS, Kafka's protocol, signing in, every advertised
address, a record written and read back. It names the first step that breaks, why
probably, and what to do. With --topic the record goes there and stays; otherwise into
a topic that is made for it and deleted.`,
		Args: cobra.NoArgs,
	}
	d.k = connectionFlags(c, cmd)
	cmd.Flags().StringVar(&d.topic, "topic", "", "topic to write a record to")
	d.k.completeFlag(cmd, "topic", topicNames)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context(), cmd) }
	return cmd
}

func (d *doctor) run(ctx context.Context, cmd *cobra.Command) error {
	if err := d.k.prepare(cmd); err != nil {
		return err
	}
	defer func() {
		if d.client != nil {
			d.client.Close()
		}
	}()
	for _, step := range []struct {
		name string
		take func(context.Context) (string, error)
	}{
		{"tcp", d.tcp}, {"tls", d.handshake}, {"versions", d.versions},
		{"sign in", d.signIn}, {"advertised", d.advertised}, {"records", d.records},
	} {
		found, err := step.take(ctx)
		if err != nil {
			d.line("broken", step.name, describe(err))
			f := explain(fmt.Errorf("%s: %w", step.name, err))
			if f.next == "milena doctor" {
				f.next = "" // which is what was done
			}
			return f
		}
		d.line("ok", step.name, found)
	}
	return nil
}

func (d *doctor) line(mark, step, text string) {
	if d.c.colour(d.c.outTerminal) {
		colour := "\x1b[32m"
		if mark != "ok" {
			colour = "\x1b[31m"
		}
		mark = colour + mark + "\x1b[0m" + strings.Repeat(" ", 6-len(mark))
	}
	fmt.Fprintf(d.c.out, "%-6s  %-10s  %s\n", mark, step, text)
}

// tcp dials every broker that was named: one that is dead is told, all dead
// ends it.
func (d *doctor) tcp(ctx context.Context) (string, error) {
	var lines []string
	var last error
	for _, seed := range d.k.seeds {
		if _, _, err := net.SplitHostPort(seed); err != nil {
			seed = net.JoinHostPort(seed, "9092")
		}
		began := time.Now()
		conn, err := d.dial(ctx, seed)
		if err != nil {
			last = err
			lines = append(lines, seed+" does not answer ("+err.Error()+")")
			continue
		}
		conn.Close()
		if d.seed == "" {
			d.seed = seed
		}
		lines = append(lines, fmt.Sprintf("%s answers in %v", seed, time.Since(began).Round(10*time.Microsecond)))
	}
	if d.seed == "" {
		return "", last
	}
	return strings.Join(lines, "; "), nil
}

func (d *doctor) dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
}

// handshake looks at the certificate itself, so that a wrong authority and a
// wrong name are told apart.
func (d *doctor) handshake(ctx context.Context) (string, error) {
	if d.k.tls == nil {
		return "not used (" + d.k.protocol + ")", nil
	}
	host, _, err := net.SplitHostPort(d.seed)
	if err != nil {
		return "", err
	}
	raw, err := d.dial(ctx, d.seed)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	conf := d.k.tls.Clone()
	conf.ServerName = host
	conn := tls.Client(raw, conf)
	limit, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := conn.HandshakeContext(limit); err != nil {
		return "", d.tlsError(err)
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	text := fmt.Sprintf("%s, certificate for %s, until %s", tls.VersionName(conn.ConnectionState().Version), namesOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
	if time.Until(leaf.NotAfter) < expirySoon {
		text += " (soon!)"
	}
	return text, nil
}

func (d *doctor) tlsError(err error) error {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record), errors.Is(err, io.EOF):
		return &failure{err: err, code: exitUnreachable,
			cause: "the port speaks plaintext, or another program listens there",
			next:  "milena doctor without --ca, or another port (milena connect)"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &failure{err: err, code: exitDenied,
			cause: fmt.Sprintf("the certificate holds from %s to %s, and this machine's clock says %s",
				invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly)),
			next: "renew it on the broker (an instance of milena does so by itself, or on SIGHUP), or set the clock"}
	case errors.As(err, &name):
		return &failure{err: err, code: exitDenied,
			cause: "the certificate is for " + namesOf(name.Certificate) + ", not for " + name.Host,
			next:  "dial one of those names, advertise this one (advertised.listeners), or -X ssl.endpoint.identification.algorithm="}
	case errors.As(err, &authority):
		cause := "the certificate is signed by another authority than the one in --ca"
		if d.k.ca == "" && !d.k.set.has("ssl.truststore.location") {
			cause = "no --ca was given, and this machine does not know the broker's authority"
		}
		return &failure{err: err, code: exitDenied, cause: cause, next: "get phy_ca.crt from the instance: milena connect --dir DIR"}
	}
	return err
}

func namesOf(cert *x509.Certificate) string {
	names := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}

// open makes a client that asks this one broker only.
func (d *doctor) open() (*kgo.Client, error) {
	k := *d.k
	k.seeds = []string{d.seed}
	opts, err := k.options()
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(opts, kgo.RequestRetries(0), kgo.AllowAutoTopicCreation(),
		kgo.RecordDeliveryTimeout(roundTripTime), kgo.ProducerLinger(0))...)
}

// versions asks what Kafka answers before a user has signed in, once: by hand,
// for a client would ask twice.
func (d *doctor) versions(ctx context.Context) (string, error) {
	conn, err := d.dial(ctx, d.seed)
	if err != nil {
		return "", err
	}
	defer func() { conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return "", err
	}
	if d.k.tls != nil {
		conf := d.k.tls.Clone()
		conf.ServerName, _, _ = net.SplitHostPort(d.seed)
		conn = tls.Client(conn, conf)
	}
	count, err := askVersions(conn)
	if err != nil {
		return "", d.protocolError(err)
	}
	return fmt.Sprintf("Kafka's protocol, %d APIs", count), nil
}

// An ApiVersions v0 request: length, key 18, version 0, correlation id, no
// client id. The answer: length, correlation id, error code, count, then 6
// bytes an API.
const versionsCorrelation = 0x6d696c65

func askVersions(conn net.Conn) (apis int, err error) {
	request := []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff}
	binary.BigEndian.PutUint32(request[8:], versionsCorrelation)
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	var head [14]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, err
	}
	length, count := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[10:])
	switch {
	case binary.BigEndian.Uint32(head[4:]) != versionsCorrelation:
		return 0, errNotKafka
	case kerr.ErrorForCode(int16(binary.BigEndian.Uint16(head[8:]))) != nil:
		return 0, kerr.ErrorForCode(int16(binary.BigEndian.Uint16(head[8:])))
	case length != 10+6*count:
		return 0, errNotKafka
	}
	return int(count), nil
}

var errNotKafka = errors.New("what answers does not speak Kafka's protocol")

func (d *doctor) protocolError(err error) error {
	f := explain(err)
	if errors.Is(err, errNotKafka) || f.code == exitUnreachable {
		f.code, f.cause = exitUnreachable, "another program listens there"
		if d.k.tls == nil {
			f.cause = "the port speaks TLS, or another program listens there"
			f.next = "milena doctor … --ca phy_ca.crt"
		}
	}
	return f
}

func (d *doctor) signIn(ctx context.Context) (string, error) {
	client, err := d.open()
	if err != nil {
		return "", err
	}
	d.client = client
	limit, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := client.Ping(limit); err != nil {
		if len(d.k.mechs) == 0 {
			return "", &failure{err: err, code: exitDenied, cause: "the listener wants a user, and none was given", next: "milena doctor … --user NAME --password-file FILE"}
		}
		if errors.Is(err, kerr.UnsupportedSaslMechanism) {
			return "", &failure{err: err, code: exitDenied, cause: "the listener offers none of " + strings.Join(d.k.names, ", "), next: "-X sasl.mechanism=PLAIN, if the connection is safe"}
		}
		return "", d.k.signInError(err)
	}
	if len(d.k.mechs) == 0 {
		return "no user (" + d.k.protocol + ")", nil
	}
	return "as a user, " + strings.Join(d.k.names, " or "), nil
}

// advertised dials what the brokers say about themselves: the most frequent
// way for a client to fail after its first answer.
func (d *doctor) advertised(ctx context.Context) (string, error) {
	limit, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	meta, err := kadm.NewClient(d.client).BrokerMetadata(limit)
	if err != nil {
		return "", err
	}
	var told []string
	for _, broker := range meta.Brokers {
		address := net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
		conn, err := d.dial(ctx, address)
		if err != nil {
			return "", &failure{
				err:   fmt.Errorf("broker %d tells clients to use %s: %w", broker.NodeID, address, err),
				code:  exitUnreachable,
				cause: "clients reach the first address but not the one they are sent to",
				next:  "set advertised.listeners to an address that this machine can dial, or leave it unset",
			}
		}
		conn.Close()
		told = append(told, address)
	}
	if len(told) == 0 {
		return "", &failure{err: errors.New("the broker names no broker"), code: exitFailed, cause: "it is starting, or has lost its cluster"}
	}
	return strings.Join(told, ", "), nil
}

// records writes one and reads it back.
func (d *doctor) records(ctx context.Context) (string, error) {
	limit, cancel := context.WithTimeout(ctx, roundTripTime)
	defer cancel()
	adm, topic := kadm.NewClient(d.client), d.topic
	if topic == "" {
		topic = "milena-doctor-" + strings.ToLower(rand.Text()[:12])
		if _, err := adm.CreateTopic(limit, 1, -1, nil, topic); err != nil {
			return "", fmt.Errorf("make topic %s: %w", topic, err)
		}
		defer func() { // even if the time is up, the topic should go
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
			defer cancel()
			_, _ = adm.DeleteTopic(late, topic)
		}()
	}
	began := time.Now()
	record := &kgo.Record{Topic: topic, Value: []byte("milena doctor " + rand.Text())}
	if err := d.client.ProduceSync(limit, record).FirstErr(); err != nil {
		return "", fmt.Errorf("write to topic %s: %w", topic, err)
	}
	written := time.Since(began)
	if err := d.readBack(limit, record); err != nil {
		return "", fmt.Errorf("read topic %s: %w", topic, err)
	}
	return fmt.Sprintf("written to %s in %v, read back in %v", topic, written.Round(10*time.Microsecond), (time.Since(began) - written).Round(10*time.Microsecond)), nil
}

func (d *doctor) readBack(ctx context.Context, want *kgo.Record) error {
	d.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{
		want.Topic: {want.Partition: kgo.NewOffset().At(want.Offset)},
	})
	for {
		fetches := d.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetches.Err(); err != nil && !kerr.IsRetriable(err) {
			return err
		}
		for _, r := range fetches.Records() {
			switch {
			case r.Offset == want.Offset && string(r.Value) == string(want.Value):
				return nil
			case r.Offset >= want.Offset:
				return fmt.Errorf("at offset %d stands another record than the one that was written", want.Offset)
			}
		}
	}
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// properties are Kafka client properties by their Kafka names.
type properties struct {
	values map[string]string
	order  []string
}

// property is what one key does here: options for the client, or nothing, since
// another file reads it or it has no meaning for a command.
type property func(value string) ([]kgo.Opt, error)

// elsewhere are keys that are read by name, in connection.go and truststore.go.
func elsewhere(string) ([]kgo.Opt, error) { return nil, nil }

// needless are keys of the Java client that change nothing here.
func needless(string) ([]kgo.Opt, error) { return nil, nil }

// otherNames are librdkafka's and older names of the same thing.
var otherNames = map[string]string{
	"metadata.broker.list":                "bootstrap.servers",
	"sasl.mechanisms":                     "sasl.mechanism",
	"ssl.ca.location":                     "ssl.truststore.location",
	"ssl.ca.pem":                          "ssl.truststore.certificates",
	"request.required.acks":               "acks",
	"queue.buffering.max.ms":              "linger.ms",
	"compression.codec":                   "compression.type",
	"fetch.message.max.bytes":             "max.partition.fetch.bytes",
	"message.max.bytes":                   "max.request.size",
	"fetch.wait.max.ms":                   "fetch.max.wait.ms",
	"enable.ssl.certificate.verification": "ssl.verify",
}

func propertyNamed(name string) property {
	switch name {
	case "bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config", "sasl.username", "sasl.password",
		"ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.password", "ssl.truststore.certificates",
		"ssl.keystore.location", "ssl.keystore.type", "ssl.keystore.password", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.certificate.chain",
		"ssl.key.location", "ssl.certificate.location",
		"ssl.endpoint.identification.algorithm", "ssl.enabled.protocols", "ssl.protocol", "ssl.verify",
		"group.id", "auto.offset.reset", "enable.auto.commit", "linger.ms", "group.instance.id":
		return elsewhere
	case "client.id":
		return func(v string) ([]kgo.Opt, error) { return one(kgo.ClientID(v)), nil }
	case "client.rack":
		return func(v string) ([]kgo.Opt, error) { return one(kgo.Rack(v)), nil }
	case "acks":
		return acks
	case "enable.idempotence":
		return idempotence
	case "compression.type":
		return compression
	case "isolation.level":
		return isolation
	case "partition.assignment.strategy":
		return assignors
	case "batch.size", "max.request.size":
		return number(1, 1<<30, func(n int) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) })
	case "max.in.flight.requests.per.connection", "max.in.flight":
		return number(1, 1<<20, func(n int) kgo.Opt { return kgo.MaxProduceRequestsInflightPerBroker(n) })
	case "retries":
		return number(0, 1<<31-1, func(n int) kgo.Opt { return kgo.RecordRetries(n) })
	case "fetch.min.bytes":
		return number(1, 1<<31-1, func(n int) kgo.Opt { return kgo.FetchMinBytes(int32(n)) })
	case "fetch.max.bytes":
		return number(1, 1<<30, func(n int) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) })
	case "max.partition.fetch.bytes":
		return number(1, 1<<30, func(n int) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) })
	case "delivery.timeout.ms":
		return millis(kgo.RecordDeliveryTimeout)
	case "request.timeout.ms":
		return millis(kgo.ProduceRequestTimeout)
	case "fetch.max.wait.ms":
		return millis(kgo.FetchMaxWait)
	case "session.timeout.ms":
		return millis(kgo.SessionTimeout)
	case "heartbeat.interval.ms":
		return millis(kgo.HeartbeatInterval)
	case "max.poll.interval.ms":
		return millis(kgo.RebalanceTimeout)
	case "auto.commit.interval.ms":
		return millis(kgo.AutoCommitInterval)
	case "metadata.max.age.ms":
		return millis(kgo.MetadataMaxAge)
	case "connections.max.idle.ms":
		return millis(kgo.ConnIdleTimeout)
	case "socket.connection.setup.timeout.ms":
		return millis(kgo.DialTimeout)
	case "key.serializer", "value.serializer", "key.deserializer", "value.deserializer":
		return plainBytes
	case "buffer.memory", "max.block.ms", "max.poll.records", "send.buffer.bytes", "receive.buffer.bytes",
		"reconnect.backoff.ms", "reconnect.backoff.max.ms", "retry.backoff.ms", "retry.backoff.max.ms",
		"socket.connection.setup.timeout.max.ms", "client.dns.lookup", "check.crcs", "exclude.internal.topics",
		"allow.auto.create.topics", "default.api.timeout.ms", "enable.metrics.push", "metric.reporters",
		"metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms", "metadata.max.idle.ms",
		"metadata.recovery.strategy", "api.version.request", "broker.version.fallback", "socket.keepalive.enable",
		"sasl.kerberos.service.name", "sasl.login.callback.handler.class", "ssl.keymanager.algorithm",
		"ssl.trustmanager.algorithm", "ssl.provider", "ssl.secure.random.implementation", "ssl.cipher.suites",
		"partitioner.ignore.keys", "partitioner.adaptive.partitioning.enable", "partitioner.availability.timeout.ms":
		return needless
	}
	return nil
}

// put takes one property; an unknown name is an error that names it.
func (p *properties) put(name, value string) error {
	if newer, ok := otherNames[name]; ok {
		name = newer
	}
	act := propertyNamed(name)
	if act == nil {
		return fmt.Errorf("%s: there is no such Kafka client property", name)
	}
	value = strings.TrimSpace(value)
	if _, err := act(value); err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	if _, twice := p.values[name]; !twice {
		p.order = append(p.order, name)
	}
	p.values[name] = value
	return nil
}

func (p *properties) get(name string) string { return p.values[name] }

func (p *properties) has(name string) bool { return p.values[name] != "" }

// options are the client options of all properties that were given.
func (p *properties) options() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	for _, name := range p.order {
		more, err := propertyNamed(name)(p.values[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

func one(opt kgo.Opt) []kgo.Opt { return []kgo.Opt{opt} }

func number(low, high int, opt func(int) kgo.Opt) property {
	return func(value string) ([]kgo.Opt, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return nil, fmt.Errorf("a number from %d to %d is needed", low, high)
		}
		return one(opt(n)), nil
	}
}

const millisMax = int64(1<<63-1) / int64(time.Millisecond)

func millis[O kgo.Opt](opt func(time.Duration) O) property {
	return func(value string) ([]kgo.Opt, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || n > millisMax {
			return nil, fmt.Errorf("a number of milliseconds is needed")
		}
		return one(opt(time.Duration(n) * time.Millisecond)), nil
	}
}

func acks(value string) ([]kgo.Opt, error) {
	switch value {
	case "all", "-1":
		return one(kgo.RequiredAcks(kgo.AllISRAcks())), nil
	case "1":
		return []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}, nil
	case "0":
		return []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}, nil
	}
	return nil, fmt.Errorf("allowed are all, -1, 1, 0")
}

func idempotence(value string) ([]kgo.Opt, error) {
	switch value {
	case "true":
		return nil, nil
	case "false":
		return one(kgo.DisableIdempotentWrite()), nil
	}
	return nil, fmt.Errorf("allowed are true and false")
}

func compression(value string) ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[value]
	if !ok {
		return nil, fmt.Errorf("allowed are none, gzip, snappy, lz4, zstd")
	}
	return one(kgo.ProducerBatchCompression(codec)), nil
}

func isolation(value string) ([]kgo.Opt, error) {
	switch value {
	case "read_committed":
		return one(kgo.FetchIsolationLevel(kgo.ReadCommitted())), nil
	case "read_uncommitted":
		return one(kgo.FetchIsolationLevel(kgo.ReadUncommitted())), nil
	}
	return nil, fmt.Errorf("allowed are read_committed and read_uncommitted")
}

func assignors(value string) ([]kgo.Opt, error) {
	var balancers []kgo.GroupBalancer
	for _, name := range splitBrokers(value) {
		name = strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
		switch strings.TrimSuffix(name, "assignor") {
		case "range":
			balancers = append(balancers, kgo.RangeBalancer())
		case "roundrobin":
			balancers = append(balancers, kgo.RoundRobinBalancer())
		case "sticky":
			balancers = append(balancers, kgo.StickyBalancer())
		case "cooperativesticky", "cooperative-sticky":
			balancers = append(balancers, kgo.CooperativeStickyBalancer())
		default:
			return nil, fmt.Errorf("allowed are range, roundrobin, sticky, cooperative-sticky")
		}
	}
	return one(kgo.Balancers(balancers...)), nil
}

// plainBytes takes the serializers that leave bytes alone; another one would
// change what is sent.
func plainBytes(value string) ([]kgo.Opt, error) {
	for _, known := range []string{"StringSerializer", "ByteArraySerializer", "StringDeserializer", "ByteArrayDeserializer"} {
		if strings.HasSuffix(value, known) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("Java classes cannot be loaded; bytes are sent as they are")
}

// linger is linger.ms, or the time that fits how records come in.
func (p *properties) linger(otherwise time.Duration) (time.Duration, error) {
	value := p.get("linger.ms")
	if value == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("linger.ms=%s: a number of milliseconds is needed", value)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// parseJAAS takes user and password out of a login module's line:
//
//	org.apache.kafka….ScramLoginModule required username="u" password="p";
func parseJAAS(line string) (user, password string, err error) {
	module, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if !strings.HasSuffix(module, ".PlainLoginModule") && !strings.HasSuffix(module, ".ScramLoginModule") {
		return "", "", fmt.Errorf("sasl.jaas.config: only PlainLoginModule and ScramLoginModule are understood")
	}
	for rest = strings.TrimSpace(rest); rest != "" && rest[0] != ';'; rest = strings.TrimLeft(rest, " \t\r\n") {
		word, value, tail, err := jaasOption(rest)
		if err != nil {
			return "", "", err
		}
		switch word {
		case "username":
			user = value
		case "password":
			password = value
		}
		rest = tail
	}
	if user == "" || password == "" {
		return "", "", fmt.Errorf("sasl.jaas.config: username=\"…\" and password=\"…\" are needed")
	}
	return user, password, nil
}

// jaasOption takes one word, or one name="value", off the front.
func jaasOption(text string) (name, value, rest string, err error) {
	end := strings.IndexAny(text, " \t\r\n=;")
	if end < 0 {
		return text, "", "", nil
	}
	if text[end] != '=' {
		return text[:end], "", text[end:], nil
	}
	name, text = text[:end], text[end+1:]
	if text == "" || text[0] != '"' {
		end = strings.IndexAny(text+";", " \t\r\n;")
		return name, text[:end], text[end:], nil
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) {
				plain.WriteByte(text[i])
			}
		case '"':
			return name, plain.String(), text[i+1:], nil
		default:
			plain.WriteByte(text[i])
		}
	}
	return "", "", "", fmt.Errorf("sasl.jaas.config: a quote is not closed")
}

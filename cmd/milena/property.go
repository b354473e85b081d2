package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milena/config"
)

// properties are Kafka client properties by their Kafka names.
type properties struct {
	values map[string]string
	order  []string
}

// property is what one key does here: options for the client, or nothing, since
// it is read by name or has no meaning for a command.
type property func(value string) ([]kgo.Opt, error)

func nothing(string) ([]kgo.Opt, error) { return nil, nil }

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
	"max.in.flight":                       "max.in.flight.requests.per.connection",
}

// readElsewhere are keys that are read by name: in connection.go, truststore.go,
// consume.go, and linger below.
var readElsewhere = []string{
	"bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config", "sasl.username", "sasl.password",
	"ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.password", "ssl.truststore.certificates",
	"ssl.keystore.location", "ssl.keystore.type", "ssl.keystore.password", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.certificate.chain",
	"ssl.key.location", "ssl.certificate.location",
	"ssl.endpoint.identification.algorithm", "ssl.enabled.protocols", "ssl.protocol", "ssl.verify",
	"group.id", "auto.offset.reset", "enable.auto.commit", "linger.ms", "group.instance.id",
}

// needless are keys of other clients that change nothing here.
var needless = []string{
	"buffer.memory", "max.block.ms", "max.poll.records", "send.buffer.bytes", "receive.buffer.bytes",
	"reconnect.backoff.ms", "reconnect.backoff.max.ms", "retry.backoff.ms", "retry.backoff.max.ms",
	"socket.connection.setup.timeout.max.ms", "client.dns.lookup", "check.crcs", "exclude.internal.topics",
	"allow.auto.create.topics", "default.api.timeout.ms", "enable.metrics.push", "metric.reporters",
	"metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms", "metadata.max.idle.ms",
	"metadata.recovery.strategy", "api.version.request", "broker.version.fallback", "socket.keepalive.enable",
	"ssl.keymanager.algorithm", "ssl.trustmanager.algorithm", "ssl.provider", "ssl.secure.random.implementation", "ssl.cipher.suites",
	"partitioner.ignore.keys", "partitioner.adaptive.partitioning.enable", "partitioner.availability.timeout.ms",
	"compression.gzip.level", "compression.lz4.level", "compression.zstd.level", "auto.include.jmx.reporter",
	"metadata.recovery.rebootstrap.trigger.ms", "group.remote.assignor", "transaction.timeout.ms",
}

// needlessFamilies are keys of ways to sign in that this client does not offer.
var needlessFamilies = []string{"sasl.login.", "sasl.kerberos.", "sasl.oauthbearer."}

// acting are the keys that become options of the client.
var acting = map[string]property{
	"client.id":                             text(kgo.ClientID),
	"client.rack":                           text(kgo.Rack),
	"acks":                                  acks,
	"enable.idempotence":                    idempotence,
	"compression.type":                      compression,
	"isolation.level":                       isolation,
	"partition.assignment.strategy":         assignors,
	"batch.size":                            number(1, 1<<30, func(n int) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) }),
	"max.request.size":                      number(1, 1<<30, func(n int) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) }),
	"max.in.flight.requests.per.connection": number(1, 1<<20, func(n int) kgo.Opt { return kgo.MaxProduceRequestsInflightPerBroker(n) }),
	"retries":                               number(0, 1<<31-1, func(n int) kgo.Opt { return kgo.RecordRetries(n) }),
	"fetch.min.bytes":                       number(1, 1<<31-1, func(n int) kgo.Opt { return kgo.FetchMinBytes(int32(n)) }),
	"fetch.max.bytes":                       number(1, 1<<30, func(n int) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) }),
	"max.partition.fetch.bytes":             number(1, 1<<30, func(n int) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) }),
	"delivery.timeout.ms":                   millis(kgo.RecordDeliveryTimeout),
	"request.timeout.ms":                    millis(kgo.ProduceRequestTimeout),
	"fetch.max.wait.ms":                     millis(kgo.FetchMaxWait),
	"session.timeout.ms":                    millis(kgo.SessionTimeout),
	"heartbeat.interval.ms":                 millis(kgo.HeartbeatInterval),
	"max.poll.interval.ms":                  millis(kgo.RebalanceTimeout),
	"auto.commit.interval.ms":               millis(kgo.AutoCommitInterval),
	"metadata.max.age.ms":                   millis(kgo.MetadataMaxAge),
	"connections.max.idle.ms":               millis(kgo.ConnIdleTimeout),
	"socket.connection.setup.timeout.ms":    millis(kgo.DialTimeout),
	"key.serializer":                        plainBytes,
	"value.serializer":                      plainBytes,
	"key.deserializer":                      plainBytes,
	"value.deserializer":                    plainBytes,
	"group.protocol":                        only("classic", "this client knows the classic protocol alone"),
	"transactional.id":                      only("", "this client begins no transaction"),
	"partitioner.class":                     only("", noClasses),
	"interceptor.classes":                   only("", noClasses),
	"security.providers":                    only("", noClasses),
	"ssl.engine.factory.class":              only("", noClasses),
	"sasl.client.callback.handler.class":    only("", noClasses),
}

const noClasses = "Java classes cannot be loaded"

// only takes the one value that is what this client does anyway; another one
// would be a promise that is not kept.
func only(allowed, why string) property {
	return func(value string) ([]kgo.Opt, error) {
		if value != "" && !strings.EqualFold(value, allowed) {
			return nil, errors.New(why)
		}
		return nil, nil
	}
}

func propertyNamed(name string) (property, bool) {
	if act, ok := acting[name]; ok {
		return act, true
	}
	ofFamily := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return nothing, slices.Contains(readElsewhere, name) || slices.Contains(needless, name) || slices.ContainsFunc(needlessFamilies, ofFamily)
}

// propertyNames are all names that are understood, in order.
func propertyNames() []string {
	names := slices.Concat(readElsewhere, needless, slices.Collect(maps.Keys(acting)), slices.Collect(maps.Keys(otherNames)))
	slices.Sort(names)
	return names
}

// put takes one property; an unknown name is an error that names it.
func (p *properties) put(name, value string) error {
	if newer, ok := otherNames[name]; ok {
		name = newer
	}
	act, known := propertyNamed(name)
	if !known {
		if near := config.Nearest(name, propertyNames()); near != "" {
			return fmt.Errorf("%s: there is no such Kafka client property; did you mean %s?", name, near)
		}
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
		act, _ := propertyNamed(name)
		more, err := act(p.values[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

func one(opt kgo.Opt) []kgo.Opt { return []kgo.Opt{opt} }

func text[O kgo.Opt](opt func(string) O) property {
	return func(value string) ([]kgo.Opt, error) { return one(opt(value)), nil }
}

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
	return nil, errors.New(noClasses + "; bytes are sent as they are")
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

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/term"

	"milena/config"
)

// A client verb comes to its broker in this order:
//
//	properties  --config FILE, then -X, then the flags that are shorter names
//	brokers     flag, environment, a running instance's addresses, localhost:9092
//	security    protocol from what was given; mechanism from what is offered
//	open        a client that has spoken to one broker already

const (
	defaultData   = "milena-data"
	defaultBroker = "localhost:9092"

	dialTimeout    = 5 * time.Second
	openTimeout    = 15 * time.Second // until the first broker has answered
	requestTimeout = 30 * time.Second // of one administrative request, retries included
	passwordMax    = 4096             // bytes of a password file
)

// connection is what the connection flags say.
type connection struct {
	c *console

	brokers          []string
	user             string
	passwordFile     string
	passwordFileFlag string // another verb may need the usual name itself
	ca               string
	data             string
	properties       []string // -X
	configFile       string
	verbose          bool

	set      properties
	protocol string
	seeds    []string
	tls      *tls.Config
	mechs    []sasl.Mechanism
	names    []string // of mechs
}

// connectionFlags gives a command the flags that all client verbs share.
func connectionFlags(c *console, cmd *cobra.Command) *connection {
	return connectionFlagsWith(c, cmd, "password-file")
}

func connectionFlagsWith(c *console, cmd *cobra.Command, passwordFile string) *connection {
	k := &connection{c: c, passwordFileFlag: passwordFile}
	f := cmd.Flags()
	f.StringSliceVarP(&k.brokers, "brokers", "b", nil, "brokers as host:port,… (environment: MILENA_BROKERS, KAFKA_BOOTSTRAP_SERVERS)")
	f.StringVar(&k.user, "user", "", "user to sign in as (environment: MILENA_USER)")
	f.StringVar(&k.passwordFile, passwordFile, "", "file with that user's password (environment: MILENA_PASSWORD is the password)")
	f.StringVar(&k.ca, "ca", "", "PEM file with the authority of the broker's certificate, phy_ca.crt")
	f.StringVar(&k.data, "data", "", "data directory of an instance on this machine (environment: MILENA_DATA; default ./"+defaultData+")")
	f.StringArrayVarP(&k.properties, "property", "X", nil, "a Kafka client property, as sasl.mechanism=PLAIN")
	f.StringVar(&k.configFile, "config", "", "a client.properties file")
	f.BoolVar(&k.verbose, "verbose", false, "tell what happens on the connections")
	k.completeFlag(cmd, "user", userNames)
	completeProperties(cmd)
	return k
}

// prepare reads everything that does not need a broker.
func (k *connection) prepare(cmd *cobra.Command) error {
	if err := k.readProperties(cmd); err != nil {
		return err
	}
	if err := k.findSecurity(cmd); err != nil {
		return err
	}
	return k.findBrokers()
}

func (k *connection) readProperties(cmd *cobra.Command) error {
	k.set = properties{values: map[string]string{}}
	if k.configFile == "" {
		k.configFile = k.c.env("MILENA_CONFIG")
	}
	if k.configFile != "" {
		text, err := os.ReadFile(k.configFile)
		if err != nil {
			return usage(err, cmd)
		}
		given, err := config.ParseProperties(text)
		if err != nil {
			return usageOf(cmd, "%s: %w", k.configFile, err)
		}
		for _, p := range given {
			if err := k.set.put(p.Key, p.Value); err != nil {
				return usageOf(cmd, "%s, line %d: %w", k.configFile, p.Line, err)
			}
		}
	}
	for _, pair := range k.properties {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return usageOf(cmd, "-X %s: it is not key=value", pair)
		}
		if err := k.set.put(strings.TrimSpace(key), value); err != nil {
			return usageOf(cmd, "-X %w", err)
		}
	}
	return nil
}

// findSecurity settles protocol, TLS and mechanisms.
func (k *connection) findSecurity(cmd *cobra.Command) error {
	user, password, err := k.credentials(cmd)
	if err != nil {
		return err
	}
	k.protocol = strings.ToUpper(k.set.get("security.protocol"))
	if k.protocol == "" {
		k.protocol = protocolFor(user != "", k.ca != "" || k.set.has("ssl.truststore.location") || k.set.has("ssl.truststore.certificates"))
	}
	if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, k.protocol) {
		return usageOf(cmd, "security.protocol=%s: allowed are PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", k.protocol)
	}
	if strings.HasSuffix(k.protocol, "SSL") {
		if k.tls, err = k.tlsConfig(); err != nil {
			return usage(err, cmd)
		}
	}
	if !strings.HasPrefix(k.protocol, "SASL") {
		return nil
	}
	if user == "" {
		return usageOf(cmd, "%s needs a user: --user NAME, or -X sasl.jaas.config=…", k.protocol)
	}
	k.mechs, k.names, err = mechanisms(k.set.get("sasl.mechanism"), user, password, k.tls != nil)
	if err != nil {
		return usage(err, cmd)
	}
	return nil
}

func protocolFor(user, ca bool) string {
	switch {
	case user && ca:
		return "SASL_SSL"
	case user:
		return "SASL_PLAINTEXT"
	case ca:
		return "SSL"
	}
	return "PLAINTEXT"
}

// mechanisms are tried in this order, until the broker offers one. A password
// in clear is never offered by itself to a connection without TLS.
func mechanisms(name, user, password string, encrypted bool) ([]sasl.Mechanism, []string, error) {
	auth := scram.Auth{User: user, Pass: password}
	sha512, sha256 := auth.AsSha512Mechanism(), auth.AsSha256Mechanism()
	clear := plain.Auth{User: user, Pass: password}.AsMechanism()
	switch strings.ToUpper(name) {
	case "":
		if encrypted {
			return []sasl.Mechanism{sha512, sha256, clear}, []string{sha512.Name(), sha256.Name(), clear.Name()}, nil
		}
		return []sasl.Mechanism{sha512, sha256}, []string{sha512.Name(), sha256.Name()}, nil
	case "SCRAM-SHA-512":
		return []sasl.Mechanism{sha512}, []string{sha512.Name()}, nil
	case "SCRAM-SHA-256":
		return []sasl.Mechanism{sha256}, []string{sha256.Name()}, nil
	case "PLAIN":
		return []sasl.Mechanism{clear}, []string{clear.Name()}, nil
	}
	return nil, nil, fmt.Errorf("sasl.mechanism=%s: allowed are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", name)
}

// credentials are the user and password: flags, else properties, else the
// environment, else a question on a terminal.
func (k *connection) credentials(cmd *cobra.Command) (user, password string, err error) {
	user, password = k.set.get("sasl.username"), k.set.get("sasl.password")
	if jaas := k.set.get("sasl.jaas.config"); jaas != "" {
		if user, password, err = parseJAAS(jaas); err != nil {
			return "", "", usage(err, cmd)
		}
	}
	if k.user == "" && user == "" {
		k.user = k.c.env("MILENA_USER")
	}
	if k.user != "" && k.user != user {
		user, password = k.user, ""
	}
	if k.passwordFile == "" && password == "" {
		k.passwordFile = k.c.env("MILENA_PASSWORD_FILE")
	}
	switch {
	case k.passwordFile != "":
		if password, err = readPassword(k.passwordFile); err != nil {
			return "", "", usageOf(cmd, "--%s: %w", k.passwordFileFlag, err)
		}
		if user == "" {
			return "", "", usageOf(cmd, "--%s needs --user", k.passwordFileFlag)
		}
	case user != "" && password == "":
		if password = k.c.env("MILENA_PASSWORD"); password == "" {
			if password, err = k.c.askPassword(user); err != nil {
				return "", "", usageOf(cmd, "no password for user %s: --%s FILE, or MILENA_PASSWORD in the environment", user, k.passwordFileFlag)
			}
		}
	}
	return user, password, nil
}

// readPassword reads a password from a file; the line's end is not part of it.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, passwordMax+1)) // it may be a pipe
	if err != nil {
		return "", err
	}
	if len(text) > passwordMax {
		return "", fmt.Errorf("%s: more than %d bytes are too long for a password", path, passwordMax)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return password, nil
}

var errNoTerminal = errors.New("no terminal to ask on")

func (c *console) askPassword(user string) (string, error) {
	in, isFile := c.in.(*os.File)
	if !c.inTerminal || !c.errTerminal || !isFile {
		return "", errNoTerminal
	}
	fmt.Fprintf(c.err, "Password of %s: ", user)
	password, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(c.err)
	if err == nil && len(password) == 0 {
		err = errNoTerminal
	}
	return string(password), err
}

// findBrokers settles which brokers are dialled first.
func (k *connection) findBrokers() error {
	k.seeds = k.brokers
	for _, other := range []string{k.set.get("bootstrap.servers"), k.c.env("MILENA_BROKERS"), k.c.env("KAFKA_BOOTSTRAP_SERVERS")} {
		if len(k.seeds) == 0 {
			k.seeds = splitBrokers(other)
		}
	}
	if len(k.seeds) > 0 {
		return nil
	}
	dir := k.dataDir()
	bound, err := readAddresses(dir)
	switch {
	case err != nil && k.data != "":
		return &failure{err: fmt.Errorf("no instance runs in %s: %w", dir, err), code: exitUnreachable, next: "milena start --data " + dir}
	case err == nil:
		for _, a := range bound {
			if a.Protocol == k.protocol {
				k.seeds = append(k.seeds, a.dial())
			}
		}
		if len(k.seeds) == 0 {
			return &failure{err: fmt.Errorf("the instance in %s has no %s listener", dir, k.protocol), code: exitUnreachable, next: "milena connect --data " + dir}
		}
	default:
		k.seeds = []string{defaultBroker}
	}
	return nil
}

func (k *connection) dataDir() string {
	if k.data != "" {
		return k.data
	}
	if dir := k.c.env("MILENA_DATA"); dir != "" {
		return dir
	}
	return defaultData
}

func splitBrokers(list string) []string {
	var brokers []string
	for _, one := range strings.Split(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			brokers = append(brokers, one)
		}
	}
	return brokers
}

// address is one line of DIR/addresses: what a running instance has bound.
type address struct {
	Listener string `json:"listener" yaml:"listener"`
	Protocol string `json:"protocol" yaml:"protocol"`
	Address  string `json:"address" yaml:"address"`
}

const addressesMax = 64 << 10 // bytes of the file

func readAddresses(dir string) ([]address, error) {
	text, err := os.ReadFile(filepath.Join(dir, "addresses"))
	if err != nil {
		return nil, err
	}
	var bound []address
	for _, line := range strings.Split(string(text[:min(len(text), addressesMax)]), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 {
			bound = append(bound, address{fields[0], fields[1], fields[2]})
		}
	}
	return bound, nil
}

// dial is how this machine reaches the address.
func (a address) dial() string {
	host, port, err := net.SplitHostPort(a.Address)
	if err != nil {
		return a.Address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// options are the client options that the connection flags ask for.
func (k *connection) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(k.seeds...),
		kgo.ClientID("milena"),
		kgo.SoftwareNameAndVersion("milena", version()),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(requestTimeout),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}
	if k.tls != nil {
		opts = append(opts, kgo.DialTLSConfig(k.tls))
	}
	if len(k.mechs) > 0 {
		opts = append(opts, kgo.SASL(k.mechs...))
	}
	if k.verbose {
		opts = append(opts, kgo.WithLogger(kgo.BasicLogger(k.c.err, kgo.LogLevelDebug, nil)))
	}
	more, err := k.set.options()
	return append(opts, more...), err
}

// open prepares, connects and speaks to one broker, so that what is wrong with
// the connection is told at once and not after all retries.
func (k *connection) open(ctx context.Context, cmd *cobra.Command, extra ...kgo.Opt) (*kgo.Client, error) {
	if err := k.prepare(cmd); err != nil {
		return nil, err
	}
	opts, err := k.options()
	if err != nil {
		return nil, usage(err, cmd)
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, usage(err, cmd)
	}
	limit, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := client.Ping(limit); err != nil {
		client.Close()
		return nil, fmt.Errorf("%s at %s: %w", k.protocol, strings.Join(k.seeds, ", "), k.signInError(err))
	}
	return client, nil
}

// signInError explains a connection that ends after the broker's first answer:
// old brokers say so that they do not know the user.
func (k *connection) signInError(err error) error {
	if len(k.mechs) == 0 || !errors.Is(err, io.EOF) || errors.As(err, new(*kgo.ErrFirstReadEOF)) {
		return err
	}
	return &failure{
		err:   fmt.Errorf("the broker closed the connection while signing in: %w", err),
		code:  exitDenied,
		cause: "wrong user name or password",
		next:  "milena doctor",
	}
}

// admin is the same for administrative verbs. The context bounds them.
func (k *connection) admin(ctx context.Context, cmd *cobra.Command, do func(context.Context, *kadm.Client) error) error {
	client, err := k.open(ctx, cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return do(limit, kadm.NewClient(client))
}

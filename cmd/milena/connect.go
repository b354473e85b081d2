package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"milena/config"
	"milena/keystore"
)

// connectInfo is what a client must know of an instance: what the consoles of
// Kafka services show as its basic information.
type connectInfo struct {
	Running   bool              `json:"running"`
	Secure    bool              `json:"secure"`
	Data      string            `json:"data"`
	Listeners []connectListener `json:"listeners"`
	Admin     string            `json:"admin,omitempty"`
	Topics    []string          `json:"topics,omitempty"`
	Users     []string          `json:"users,omitempty"`
	Authority string            `json:"authority,omitempty"` // the file that phy_ca.crt is a copy of
	Files     []string          `json:"files,omitempty"`
	Password  string            `json:"truststore_password,omitempty"`

	ca      []byte
	listed  bool  // the topics are all there are
	notTold error // why topics or users are missing
}

type connectListener struct {
	Name       string   `json:"name"`
	Protocol   string   `json:"protocol"`
	Addresses  []string `json:"addresses"`
	Bound      string   `json:"bound,omitempty"` // while it runs
	Mechanisms []string `json:"mechanisms,omitempty"`
}

// connect is `milena connect`.
type connect struct {
	c      *console
	k      *connection
	dir    string
	zip    string
	lang   string
	output string
	topic  string
	group  string
}

func newConnect(c *console) *cobra.Command {
	o := &connect{c: c}
	cmd := &cobra.Command{
		Use:   "connect [produce|consume]",
		Short: "What a client needs: addresses, protocols, users, certificates, a program",
		Long: `Prints how clients reach the instance in a data directory, running or stopped.
--dir and --zip write the files that clients load: phy_ca.crt (PEM), client.jks and
client.p12 (password ` + keystore.Password + `) and client.properties. --lang prints the two
programs, produce and consume, with this instance's values in them.`,
		Example: `  milena connect
  milena connect --dir client
  milena connect --lang python produce --user alice > producer.py`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"produce", "consume"},
	}
	o.k = connectionFlags(c, cmd)
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "write the files into this directory")
	f.StringVar(&o.zip, "zip", "", "write the files into this zip archive")
	f.StringVar(&o.lang, "lang", "", "print the programs: python, java or go")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml")
	completeWords(cmd, "lang", "python", "java", "go")
	completeWords(cmd, "output", "json", "yaml")
	f.StringVar(&o.topic, "topic", "", "topic in the programs (default: a placeholder)")
	f.StringVar(&o.group, "group", "", "consumer group in the programs (default: a placeholder)")
	o.k.completeFlag(cmd, "topic", topicNames)
	o.k.completeFlag(cmd, "group", groupNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), cmd, args) }
	return cmd
}

func (o *connect) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	which := ""
	if len(args) == 1 {
		if which = args[0]; which != "produce" && which != "consume" {
			return usageOf(cmd, "%s: say produce or consume", which)
		}
	}
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return usageOf(cmd, "-o %s: allowed are json, yaml", o.output)
	}
	if err := o.k.readProperties(cmd); err != nil {
		return err
	}
	info, err := readInstance(o.c, o.k.dataDir())
	if err != nil {
		return err
	}
	if o.lang != "" {
		return o.printPrograms(cmd, info, which)
	}
	o.ask(ctx, cmd, &info)
	if err := o.writeFiles(&info); err != nil {
		return err
	}
	if o.output != "" {
		return printValue(o.c.out, info, o.output)
	}
	return o.print(info)
}

// readInstance looks at a data directory: what is bound if the instance runs,
// else what its last start opened, and the next one will by default.
func readInstance(c *console, dir string) (connectInfo, error) {
	info := connectInfo{Data: dir, Listeners: []connectListener{}}
	if absolute, err := filepath.Abs(dir); err == nil {
		info.Data = absolute
	}
	secure, err := readSecure(dir)
	bound, addressErr := readAddresses(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && addressErr != nil:
		return info, notFound("milena start --data "+dir, "there is no instance in %s", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return info, err
	}
	info.Secure = secure
	ca, err := keystore.ReadCA(filepath.Join(dir, "tls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, err
	}
	if info.ca = ca; len(ca) > 0 {
		info.Authority = filepath.Join(info.Data, "tls", "ca.crt")
	}
	listeners, err := readListeners(dir)
	if errors.Is(err, fs.ErrNotExist) { // written by a milena that did not keep them
		listeners, err = defaultListeners(c, secure)
	}
	if err != nil {
		return info, err
	}
	if info.Running = addressErr == nil && answers(bound); info.Running {
		info.addBound(bound, listeners)
	} else {
		info.addConfigured(listeners)
	}
	return info, nil
}

// answers says whether the process that wrote the addresses is still there: one
// that was killed leaves the file behind.
func answers(bound []address) bool {
	for _, a := range bound {
		if a.Listener == "admin" {
			conn, err := net.DialTimeout("tcp", a.dial(), dialTimeout)
			if err == nil {
				conn.Close()
			}
			return err == nil
		}
	}
	return false
}

// readSecure reads one line of the instance file.
func readSecure(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, "instance"))
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Split(string(text), "\n"), "secure=true"), nil
}

// configured is a listener as the instance was told to open it.
type configured struct {
	address
	advertised string // host:port; empty: the address that the client used
	mechanisms []string
}

// readListeners reads what the last start kept: a line "LISTENER PROTOCOL
// host:port ADVERTISED MECHANISMS" each.
func readListeners(dir string) ([]configured, error) {
	text, err := os.ReadFile(filepath.Join(dir, "listeners"))
	if err != nil {
		return nil, err
	}
	var listeners []configured
	for line := range strings.Lines(string(text[:min(len(text), addressesMax)])) {
		fields := strings.Fields(line)
		if len(fields) != 5 {
			continue
		}
		l := configured{address: address{fields[0], fields[1], fields[2]}}
		if fields[3] != "-" {
			l.advertised = fields[3]
		}
		if fields[4] != "-" {
			l.mechanisms = strings.Split(fields[4], ",")
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// defaultListeners are those of a start without flags.
func defaultListeners(c *console, secure bool) ([]configured, error) {
	broker, _, err := config.Load(config.Given{Env: c.environ})
	if err != nil {
		return nil, err
	}
	listeners, err := broker.Listeners(secure)
	if err != nil {
		return nil, err
	}
	var all []configured
	for _, l := range listeners {
		one := configured{address: address{l.Name, l.Protocol, net.JoinHostPort(l.Host, fmt.Sprint(l.Port))}}
		if l.Advertised != nil {
			one.advertised = net.JoinHostPort(l.Advertised.Host, fmt.Sprint(l.Advertised.Port))
		}
		if strings.HasPrefix(l.Protocol, "SASL") {
			one.mechanisms = l.Mechanisms
		}
		all = append(all, one)
	}
	return all, nil
}

// reached are the addresses that clients are given of a listener that is, or
// would be, bound there.
func (l configured) reached(at address) []string {
	host, port, err := net.SplitHostPort(l.advertised)
	if err != nil {
		return reachedAt(at)
	}
	if port == "0" {
		if _, port, err = net.SplitHostPort(at.Address); err != nil {
			return reachedAt(at)
		}
	}
	return []string{net.JoinHostPort(host, port)}
}

func (info *connectInfo) addBound(bound []address, listeners []configured) {
	for _, a := range bound {
		if a.Listener == "admin" {
			info.Admin = a.dial()
			continue
		}
		var l configured
		if i := slices.IndexFunc(listeners, func(l configured) bool { return l.Listener == a.Listener }); i >= 0 {
			l = listeners[i]
		}
		info.Listeners = append(info.Listeners, connectListener{
			Name: a.Listener, Protocol: a.Protocol, Bound: a.Address, Addresses: l.reached(a), Mechanisms: l.mechanisms})
	}
}

func (info *connectInfo) addConfigured(listeners []configured) {
	for _, l := range listeners {
		info.Listeners = append(info.Listeners, connectListener{
			Name: l.Listener, Protocol: l.Protocol, Addresses: l.reached(l.address), Mechanisms: l.mechanisms})
	}
}

// reachedAt are the addresses by which clients reach what is bound: this
// machine's own if it is bound to every address.
func reachedAt(a address) []string {
	host, port, err := net.SplitHostPort(a.Address)
	if err != nil {
		return []string{a.Address}
	}
	ip := net.ParseIP(host)
	switch {
	case ip != nil && ip.IsLoopback():
		return []string{net.JoinHostPort(loopbackName(host), port)}
	case host != "" && (ip == nil || !ip.IsUnspecified()):
		return []string{a.Address}
	}
	return append(ownAddresses(port), net.JoinHostPort("localhost", port))
}

// ownAddresses are those of this machine that others may reach: IPv6 ones only
// where there is no other, for old clients try them first and wait.
func ownAddresses(port string) []string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, one := range addresses {
		n, ok := one.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			four = append(four, net.JoinHostPort(n.IP.String(), port))
		default:
			six = append(six, net.JoinHostPort(n.IP.String(), port))
		}
	}
	if len(four) > 0 {
		return four
	}
	return six
}

// loopbackName keeps IPv6 loopback as it is: localhost may be IPv4 alone.
func loopbackName(host string) string {
	if host == "::1" {
		return host
	}
	return "localhost"
}

// ask asks a running instance for its topics and users. One that does not tell
// us is no reason to tell nothing.
func (o *connect) ask(ctx context.Context, cmd *cobra.Command, info *connectInfo) {
	if !info.Running {
		info.notTold = errors.New("the instance does not run")
		return
	}
	if o.k.user != "" && o.k.ca == "" && info.best().Protocol == "SASL_SSL" && o.k.set.get("security.protocol") == "" {
		o.k.ca = info.Authority
	}
	if info.notTold = o.k.prepare(cmd); info.notTold != nil {
		return
	}
	limit, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	info.notTold = o.k.admin(limit, cmd, func(ctx context.Context, adm *kadm.Client) error {
		topics, err := adm.ListTopics(ctx)
		if err == nil {
			info.Topics, info.listed = topics.Names(), true
		}
		if !info.Secure {
			return err
		}
		users, usersErr := adm.DescribeUserSCRAMs(ctx)
		if usersErr == nil {
			for _, u := range users.Sorted() {
				info.Users = append(info.Users, u.User)
			}
		}
		return errors.Join(err, usersErr)
	})
}

type clientFile struct {
	name    string
	content []byte
}

// clientFiles are what clients load.
func (o *connect) clientFiles(info connectInfo) ([]clientFile, error) {
	best := info.best()
	user := o.user(info)
	mechanism := ""
	if strings.HasPrefix(best.Protocol, "SASL") {
		mechanism = "SCRAM-SHA-512"
		if len(best.Mechanisms) > 0 && !slices.Contains(best.Mechanisms, mechanism) {
			mechanism = best.Mechanisms[0]
		}
	}
	withTLS := strings.HasSuffix(best.Protocol, "SSL") && len(info.ca) > 0
	properties := append([]byte("bootstrap.servers="+strings.Join(best.Addresses, ",")+"\n"),
		keystore.Properties(best.Protocol, mechanism, user, withTLS)...)
	files := []clientFile{{"client.properties", properties}}
	if len(info.ca) == 0 {
		return files, nil
	}
	jks, err := keystore.JKS(info.ca, time.Now())
	if err != nil {
		return nil, fmt.Errorf("client.jks: %w", err)
	}
	p12, err := keystore.P12(info.ca)
	if err != nil {
		return nil, fmt.Errorf("client.p12: %w", err)
	}
	return append(files, clientFile{"phy_ca.crt", info.ca}, clientFile{"client.jks", jks}, clientFile{"client.p12", p12}), nil
}

// best is the listener that a client should use: the safest.
func (info connectInfo) best() connectListener {
	for _, protocol := range []string{"SASL_SSL", "SSL", "SASL_PLAINTEXT", "PLAINTEXT"} {
		for _, l := range info.Listeners {
			if l.Protocol == protocol {
				return l
			}
		}
	}
	return connectListener{Protocol: "PLAINTEXT", Addresses: []string{defaultBroker}}
}

func (o *connect) user(info connectInfo) string {
	switch {
	case o.k.user != "":
		return o.k.user
	case len(info.Users) > 0:
		return info.Users[0]
	}
	return "username"
}

func (o *connect) writeFiles(info *connectInfo) error {
	if o.dir == "" && o.zip == "" {
		return nil
	}
	files, err := o.clientFiles(*info)
	if err != nil {
		return err
	}
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
		for _, f := range files {
			name := filepath.Join(o.dir, f.name)
			if err := os.WriteFile(name, f.content, 0o644); err != nil {
				return err
			}
			info.Files = append(info.Files, name)
		}
	}
	if len(info.ca) > 0 {
		info.Password = keystore.Password
	}
	if o.zip == "" {
		return nil
	}
	archive, err := zipOf(files)
	if err != nil {
		return err
	}
	info.Files = append(info.Files, o.zip)
	return os.WriteFile(o.zip, archive, 0o644)
}

func zipOf(files []clientFile) ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, f := range files {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: time.Now()})
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

func (o *connect) print(info connectInfo) error {
	out := o.c.out
	state := "stopped"
	if info.Running {
		state = "running"
	}
	fmt.Fprintf(out, "Instance in %s, %s\n\n", info.Data, state)
	w := tabwriter.NewWriter(out, 2, 8, 3, ' ', 0)
	fmt.Fprintln(w, "SECURITY PROTOCOL\tADDRESSES\tSASL MECHANISMS")
	for _, l := range info.Listeners {
		mechanisms := strings.Join(l.Mechanisms, ", ")
		if mechanisms == "" {
			mechanisms = "-"
		}
		protocol := l.Protocol
		if l.Name != l.Protocol {
			protocol += " (" + l.Name + ")"
		}
		addresses := strings.Join(l.Addresses, ",")
		if _, port, _ := net.SplitHostPort(l.Addresses[0]); port == "0" {
			addresses = "any free port when it starts"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", protocol, addresses, mechanisms)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	o.printAsked(info)
	if len(info.Files) > 0 {
		fmt.Fprintf(out, "\nWrote %s\n", strings.Join(info.Files, ", "))
	}
	return o.printNext(info)
}

func (o *connect) printAsked(info connectInfo) {
	out, next := o.c.out, ""
	fmt.Fprintln(out)
	if len(info.Topics) > 0 {
		fmt.Fprintf(out, "Topics: %s\n", strings.Join(info.Topics, ", "))
	} else if info.listed {
		fmt.Fprintln(out, "Topics: none yet; they appear by being used")
	}
	if len(info.Users) > 0 {
		fmt.Fprintf(out, "Users: %s\n", strings.Join(info.Users, ", "))
	}
	if info.Authority != "" {
		fmt.Fprintf(out, "Authority: %s\n", info.Authority)
	}
	if info.notTold == nil {
		return
	}
	if info.Running && info.Secure && o.k.user == "" {
		next = "; the superuser may ask: --user NAME --password-file FILE"
	}
	what := "Users"
	if !info.listed {
		what = "Topics and users"
	}
	fmt.Fprintf(out, "%s are not told: %s%s\n", what, strings.TrimSuffix(describe(info.notTold), "."), next)
}

func (o *connect) printNext(info connectInfo) error {
	out, data := o.c.out, ""
	if o.k.data != "" {
		data = " --data " + o.k.data
	}
	fmt.Fprintln(out)
	if len(info.Files) == 0 && len(info.ca) > 0 {
		fmt.Fprintf(out, "For clients: milena connect%s --dir DIR writes phy_ca.crt, client.jks, client.p12 (password %s), client.properties\n", data, keystore.Password)
	}
	_, err := fmt.Fprintf(out, "A program:   milena connect%s --lang python|java|go\n", data)
	return err
}

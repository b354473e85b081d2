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
	Users     []string          `json:"users,omitempty"`
	Files     []string          `json:"files,omitempty"`
	Password  string            `json:"truststore_password,omitempty"`

	ca []byte
}

type connectListener struct {
	Name       string   `json:"name"`
	Protocol   string   `json:"protocol"`
	Addresses  []string `json:"addresses"`
	Bound      string   `json:"bound"`
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
	f.StringVar(&o.topic, "topic", "", "topic in the programs (default: a placeholder)")
	f.StringVar(&o.group, "group", "", "consumer group in the programs (default: a placeholder)")
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
	o.findUsers(ctx, cmd, &info)
	if err := o.writeFiles(&info); err != nil {
		return err
	}
	if o.output != "" {
		return printValue(o.c.out, info, o.output)
	}
	return o.print(info)
}

// readInstance looks at a data directory: what is bound if the instance runs,
// else what would be.
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
	info.ca = ca
	if addressErr == nil {
		info.Running = true
		info.addBound(bound)
		return info, nil
	}
	return info, info.addConfigured(c)
}

// readSecure reads one line of the instance file.
func readSecure(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, "instance"))
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Split(string(text), "\n"), "secure=true"), nil
}

func (info *connectInfo) addBound(bound []address) {
	mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	for _, a := range bound {
		if a.Listener == "admin" {
			info.Admin = a.dial()
			continue
		}
		l := connectListener{Name: a.Listener, Protocol: a.Protocol, Bound: a.Address, Addresses: reachedAt(a)}
		if strings.HasPrefix(a.Protocol, "SASL") {
			l.Mechanisms = mechanisms
		}
		info.Listeners = append(info.Listeners, l)
	}
}

// addConfigured shows what a stopped instance opens by default and by the
// environment; flags of its last start are not known.
func (info *connectInfo) addConfigured(c *console) error {
	broker, _, err := config.Load(config.Given{Env: c.environ})
	if err != nil {
		return err
	}
	listeners, err := broker.Listeners(info.Secure)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		a := address{l.Name, l.Protocol, net.JoinHostPort(l.Host, fmt.Sprint(l.Port))}
		shown := connectListener{Name: l.Name, Protocol: l.Protocol, Bound: a.Address, Addresses: reachedAt(a), Mechanisms: l.Mechanisms}
		if l.Advertised != nil {
			shown.Addresses = []string{net.JoinHostPort(l.Advertised.Host, fmt.Sprint(l.Advertised.Port))}
		}
		info.Listeners = append(info.Listeners, shown)
	}
	return nil
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

// findUsers asks a running instance who its users are. One that does not tell
// us is no reason to tell nothing.
func (o *connect) findUsers(ctx context.Context, cmd *cobra.Command, info *connectInfo) {
	if !info.Running {
		return
	}
	if err := o.k.prepare(cmd); err != nil {
		return
	}
	limit, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_ = o.k.admin(limit, cmd, func(ctx context.Context, adm *kadm.Client) error {
		users, err := adm.DescribeUserSCRAMs(ctx)
		if err == nil {
			for _, u := range users.Sorted() {
				info.Users = append(info.Users, u.User)
			}
		}
		return err
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
		entry, err := w.Create(f.name)
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
		fmt.Fprintf(w, "%s\t%s\t%s\n", protocol, strings.Join(l.Addresses, ","), mechanisms)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(info.Users) > 0 {
		fmt.Fprintf(out, "\nUsers: %s\n", strings.Join(info.Users, ", "))
	}
	if len(info.Files) > 0 {
		fmt.Fprintf(out, "\nWrote %s\n", strings.Join(info.Files, ", "))
	}
	return o.printNext(info)
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

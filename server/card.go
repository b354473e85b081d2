package server

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"

	"milena/config"
	"milena/storage/disk"
)

const addressesName = "addresses"

// bound is a listener as it stands on the card.
type bound struct {
	Name, Protocol string
	Address        string // host:port
	Advertised     string // host:port that clients are told; empty: what they dialled
	Mechanisms     []string
	Exposed        bool // beyond loopback without TLS and a password
}

// addresses is the file that says what is bound, for scripts: a line
// "LISTENER PROTOCOL host:port" each. It is there while the instance runs.
func writeAddresses(fs disk.FS, listeners []bound) error {
	var text strings.Builder
	for _, l := range listeners {
		fmt.Fprintf(&text, "%s %s %s\n", l.Name, l.Protocol, l.Address)
	}
	if err := replaceFile(fs, addressesName, []byte(text.String())); err != nil {
		return fmt.Errorf("write %s: %w", addressesName, err)
	}
	return nil
}

// listenersName is the file that keeps, for who asks while the instance is
// stopped, what its last start was told to open: flags stand in no other file.
const listenersName = "listeners"

// writeListeners writes a line "LISTENER PROTOCOL host:port ADVERTISED MECHANISMS"
// each, "-" for none. Most starts change nothing, and write nothing.
func writeListeners(fs disk.FS, listeners []config.Listener) error {
	var text strings.Builder
	for _, l := range listeners {
		advertised, mechanisms := "-", "-"
		if a := l.Advertised; a != nil {
			advertised = net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
		}
		if strings.HasPrefix(l.Protocol, "SASL") {
			mechanisms = strings.Join(l.Mechanisms, ",")
		}
		fmt.Fprintf(&text, "%s %s %s %s %s\n", l.Name, l.Protocol, net.JoinHostPort(l.Host, strconv.Itoa(l.Port)), advertised, mechanisms)
	}
	if old, err := readFile(fs, listenersName, listenersMax); err == nil && string(old) == text.String() {
		return nil
	}
	if err := replaceFile(fs, listenersName, []byte(text.String())); err != nil {
		return fmt.Errorf("write %s: %w", listenersName, err)
	}
	return nil
}

const listenersMax = 64 << 10 // bytes of the file

// card is what a person reads when the instance has started. Its lines fit into
// a terminal of 80 columns, if names and directories are not long.
type card struct {
	Version   string
	Command   string // how this program is called: milena
	Listeners []bound
	Admin     string
	Data      string // a directory
	Memory    bool   // everything else is in memory
	OS        bool   // durability=os
	Secure    bool
	User      string // the superuser that was just made
	Password  string // its password, printed this once
	FromFile  bool   // the password came from a file, and is not printed
	Ready     string
}

func (c card) print(out io.Writer) {
	fmt.Fprintf(out, "\nMilena %s is ready after %s.\n\n", c.Version, c.Ready)
	var rows [][]string
	for _, l := range c.Listeners {
		rows = append(rows, []string{l.title(), l.reached(), strings.Join(l.Mechanisms, ", ")})
	}
	rows = append(rows, []string{"metrics", "http://" + c.Admin + "/metrics"}, []string{"data", c.where()})
	printRows(out, rows)
	if c.OS {
		fmt.Fprint(out, "\ndurability=os: acknowledged before it is on the disk; a power cut may lose the\nlast seconds.\n")
	}
	if c.User != "" {
		c.printUser(out)
	}
	fmt.Fprintf(out, "\n%s\n", c.access())
	fmt.Fprintln(out, "\nNext:")
	printRows(out, c.next())
}

// printRows writes columns, and nothing behind the last of a row.
func printRows(out io.Writer, rows [][]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 2, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
	}
	w.Flush() // into memory: it can't fail
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

func (c card) where() string {
	switch {
	case c.Memory:
		return "in memory, gone when it stops"
	case c.OS:
		return c.Data
	}
	return c.Data + " (acknowledged means: on the disk)"
}

func (c card) printUser(out io.Writer) {
	fmt.Fprintf(out, "\nThe first superuser is %q. ", c.User)
	if c.FromFile {
		fmt.Fprintln(out, "Its password is the one in your file.")
		return
	}
	fmt.Fprintf(out, "Its password, shown this once:\n\n  %s\n", c.Password)
}

func (c card) access() string {
	var open []string
	for _, l := range c.Listeners {
		if l.Exposed {
			open = append(open, l.Name)
		}
	}
	switch {
	case len(open) > 0:
		return "WARNING: --insecure: open beyond this machine without TLS and password:\n" + strings.Join(open, ", ") + ". Whoever is on the way can read, or do, everything."
	case c.Secure:
		return "Every user who signs in may use all topics and groups; only the superuser\nadministers users. There are no ACLs yet."
	}
	return "No passwords: whoever reaches this machine's loopback may do everything.\nFor users and TLS: " + c.Command + " start --secure"
}

func (c card) next() [][]string {
	data := ""
	if c.Memory || c.Data != defaultData { // in memory, the directory says where to connect
		data = " --data " + c.Data
	}
	if c.Secure {
		return [][]string{
			{c.Command + " connect" + data, "addresses, users, files for clients"},
			{c.Command + " connect --lang python" + data, "a program with all of it filled in"},
		}
	}
	return [][]string{
		{"echo 'hello kafka!' | " + c.Command + " produce greetings" + data},
		{c.Command + " consume greetings -o start" + data},
		{c.Command + " connect --lang python" + data, "the same in Python"},
	}
}

const defaultData = "milena-data"

// title is the protocol, and the name of a listener that is called otherwise.
func (b bound) title() string {
	if b.Name == b.Protocol {
		return b.Protocol
	}
	return b.Protocol + " (" + b.Name + ")"
}

// reached is what a client dials: what is advertised, else how a person on this
// machine would dial what is bound.
func (b bound) reached() string {
	if b.Advertised != "" {
		return b.Advertised
	}
	host, port, err := net.SplitHostPort(b.Address)
	if err != nil {
		return b.Address
	}
	switch ip := net.ParseIP(host); {
	case ip != nil && ip.IsLoopback() && ip.To4() != nil:
		return net.JoinHostPort("localhost", port)
	case ip != nil && ip.IsUnspecified():
		return "every address:" + port
	}
	return b.Address
}

// printInit is the card of a directory that was prepared and not started.
func (c card) printInit(out io.Writer) {
	fmt.Fprintf(out, "\n%s is ready to start.\n", c.Data)
	if c.User != "" {
		c.printUser(out)
	}
	start := c.Command + " start"
	if c.Data != defaultData {
		start += " --data " + c.Data
	}
	fmt.Fprintf(out, "\nNext:\n  %s\n", start)
}

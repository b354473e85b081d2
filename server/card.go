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
	Mechanisms     []string
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

// card is what a person reads when the instance has started.
type card struct {
	Version   string
	Listeners []bound
	Admin     string
	Data      string // a directory; empty: memory
	Memory    bool
	OS        bool // durability=os
	Secure    bool
	Insecure  bool   // a listener beyond loopback has no TLS and SASL
	User      string // the superuser that was just made
	Password  string // its password, printed this once
	FromFile  bool   // the password came from a file, and is not printed
	Ready     string
}

func (c card) print(out io.Writer) {
	fmt.Fprintf(out, "\nMilena %s is ready after %s.\n\n", c.Version, c.Ready)
	w := tabwriter.NewWriter(out, 2, 8, 3, ' ', 0)
	for _, l := range c.Listeners {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", l.Protocol, reachable(l.Address), strings.Join(l.Mechanisms, ", "))
	}
	fmt.Fprintf(w, "  metrics\thttp://%s/metrics\n", c.Admin)
	fmt.Fprintf(w, "  data\t%s\n", c.where())
	w.Flush()
	if c.User != "" {
		c.printUser(out)
	}
	fmt.Fprintf(out, "\n%s\n", c.access())
	if c.Insecure {
		fmt.Fprintln(out, "WARNING: --insecure: a listener beyond this machine has no TLS and password; anybody who reaches it can read and write everything.")
	}
	fmt.Fprintf(out, "\nNext:\n%s\n", c.next())
}

func (c card) where() string {
	switch {
	case c.Memory:
		return "in memory, gone when it stops"
	case c.OS:
		return c.Data + " (durability=os: acknowledged before it is on the disk; a power cut may lose the last seconds)"
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
	if c.Secure {
		return "Every user who signs in may use all topics and groups; only the superuser administers users. There are no ACLs yet."
	}
	return "No passwords: whoever reaches this machine's loopback may do everything. For users and TLS: milena start --secure"
}

func (c card) next() string {
	data := ""
	if !c.Memory && c.Data != defaultData {
		data = " --data " + c.Data
	}
	if c.Secure {
		return "  milena connect" + data + "                     what a client needs: addresses, users, phy_ca.crt\n" +
			"  milena connect" + data + " --lang python       a program with all of it filled in"
	}
	return "  echo 'hello kafka!' | milena produce greetings" + data + "\n" +
		"  milena consume greetings -o start" + data + "\n" +
		"  milena connect" + data + " --lang python       the same in Python"
}

const defaultData = "milena-data"

// reachable is how a person on this machine would dial an address.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return net.JoinHostPort("localhost", port)
	} else if ip != nil && ip.IsUnspecified() {
		return "every address, port " + port
	}
	return address
}

// printInit is the card of a directory that was prepared and not started.
func (c card) printInit(out io.Writer) {
	fmt.Fprintf(out, "\n%s is ready to start.\n", c.Data)
	if c.User != "" {
		c.printUser(out)
	}
	start := "milena start"
	if c.Data != defaultData {
		start += " --data " + c.Data
	}
	fmt.Fprintf(out, "\nNext:\n  %s\n", start)
}

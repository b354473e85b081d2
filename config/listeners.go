package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// listenersMax bounds how many listeners one instance has.
const listenersMax = 64

// What is opened when listeners is not set.
const (
	openListeners   = "PLAINTEXT://127.0.0.1:9092"
	secureListeners = "PLAINTEXT://127.0.0.1:9092,SASL_PLAINTEXT://127.0.0.1:9094,SASL_SSL://:9093"
)

var protocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// Listeners are the listeners to open: those configured, else the defaults,
// which a secure instance has more of.
func (b *Broker) Listeners(secure bool) ([]Listener, error) {
	text := b.String("listeners")
	if text == "" {
		text = openListeners
		if secure {
			text = secureListeners
		}
	}
	listeners, err := b.parseListeners(text)
	if err != nil {
		return nil, b.about("listeners", err)
	}
	if err := b.advertise(listeners); err != nil {
		return nil, b.about("advertised.listeners", err)
	}
	return listeners, nil
}

// about says which key an error is about and where the key was set.
func (b *Broker) about(name string, err error) error {
	if s, ok := b.set[name]; ok {
		return fmt.Errorf("%s: %s=%s: %w", s.origin, name, s.value, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (b *Broker) parseListeners(text string) ([]Listener, error) {
	protocolOf, err := parseProtocolMap(b.String("listener.security.protocol.map"))
	if err != nil {
		return nil, b.about("listener.security.protocol.map", err)
	}
	var listeners []Listener
	for _, one := range splitList(text) {
		e, err := ParseEndpoint(one)
		if err != nil {
			return nil, err
		}
		if slices.Contains(b.List("controller.listener.names"), e.Name) {
			continue // a broker of Kafka's may run a controller beside itself
		}
		protocol, known := protocolOf[e.Name]
		if !known {
			return nil, fmt.Errorf("listener %s has no protocol: add %s:PROTOCOL to listener.security.protocol.map", e.Name, e.Name)
		}
		l := Listener{Name: e.Name, Protocol: protocol, Host: e.Host, Port: e.Port}
		if err := collides(listeners, l); err != nil {
			return nil, err
		}
		if err := b.tune(&l); err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	switch {
	case len(listeners) == 0:
		return nil, errors.New("at least one listener is needed, as NAME://host:port")
	case len(listeners) > listenersMax:
		return nil, fmt.Errorf("%d listeners are more than the limit of %d", len(listeners), listenersMax)
	}
	return listeners, nil
}

func collides(others []Listener, l Listener) error {
	for _, other := range others {
		if other.Name == l.Name {
			return fmt.Errorf("listener %s is named twice", l.Name)
		}
		if l.Port != 0 && other.Port == l.Port && other.Host == l.Host {
			return fmt.Errorf("listeners %s and %s have the same port %d", other.Name, l.Name, l.Port)
		}
	}
	return nil
}

// tune fills in what listener.name.NAME.* says, else the instance's keys.
func (b *Broker) tune(l *Listener) error {
	get := func(name string) string { return b.ListenerString(l.Name, name) }
	if strings.HasPrefix(l.Protocol, "SASL_") {
		l.Mechanisms = splitList(get("sasl.enabled.mechanisms"))
		if len(l.Mechanisms) == 0 {
			return fmt.Errorf("listener %s is %s but sasl.enabled.mechanisms is empty", l.Name, l.Protocol)
		}
		reauth, _ := strconv.ParseInt(get("connections.max.reauth.ms"), 10, 64)
		l.Reauth = millis(reauth)
	}
	if !strings.HasSuffix(l.Protocol, "SSL") {
		return nil
	}
	l.TLS.MinVersion, l.TLS.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	switch enabled := splitList(get("ssl.enabled.protocols")); {
	case len(enabled) == 0:
		return fmt.Errorf("listener %s is %s but ssl.enabled.protocols is empty", l.Name, l.Protocol)
	case !slices.Contains(enabled, "TLSv1.2"):
		l.TLS.MinVersion = tls.VersionTLS13
	case !slices.Contains(enabled, "TLSv1.3"):
		l.TLS.MaxVersion = tls.VersionTLS12
	}
	if location := get("ssl.keystore.location"); location != "" {
		l.TLS.KeystoreLocation = location
		l.TLS.KeystoreType = get("ssl.keystore.type")
		l.TLS.KeystorePassword = get("ssl.keystore.password")
		l.TLS.KeyPassword = get("ssl.key.password")
	}
	return nil
}

func parseProtocolMap(text string) (map[string]string, error) {
	protocolOf := map[string]string{}
	for _, pair := range splitList(text) {
		name, protocol, ok := strings.Cut(pair, ":")
		name, protocol = strings.TrimSpace(name), strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not NAME:PROTOCOL", pair)
		}
		if !slices.Contains(protocols, protocol) {
			return nil, fmt.Errorf("%q: the protocol must be one of %s", pair, strings.Join(protocols, ", "))
		}
		if _, twice := protocolOf[name]; twice {
			return nil, fmt.Errorf("%s is mapped twice", name)
		}
		protocolOf[name] = protocol
	}
	return protocolOf, nil
}

func (b *Broker) advertise(listeners []Listener) error {
	for _, one := range b.List("advertised.listeners") {
		e, err := ParseEndpoint(one)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(listeners, func(l Listener) bool { return l.Name == e.Name })
		switch {
		case i < 0 && slices.Contains(b.List("controller.listener.names"), e.Name):
			continue
		case i < 0 && !b.IsSet("listeners"):
			continue // of a listener that only a secure instance opens
		case i < 0:
			return fmt.Errorf("there is no listener %s", e.Name)
		case e.Host == "":
			return fmt.Errorf("%s: an advertised address needs a host", one)
		case unspecified(e.Host):
			return fmt.Errorf("%s: %s is no address that a client can dial; name one, or leave advertised.listeners unset", one, e.Host)
		}
		listeners[i].Advertised = &Advertised{Host: e.Host, Port: e.Port}
	}
	return nil
}

// Endpoint is one NAME://host:port.
type Endpoint struct {
	Name string
	Host string // without brackets; may be empty
	Port int
}

// ParseEndpoint reads NAME://host:port; an IPv6 address stands in brackets.
func ParseEndpoint(text string) (Endpoint, error) {
	name, address, ok := strings.Cut(strings.TrimSpace(text), "://")
	if !ok || name == "" {
		return Endpoint{}, fmt.Errorf("%q is not NAME://host:port", text)
	}
	name = strings.ToUpper(name)
	colon := strings.LastIndexByte(address, ':')
	if colon < 0 {
		return Endpoint{}, fmt.Errorf("%q has no port", text)
	}
	port, err := strconv.ParseUint(address[colon+1:], 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q: the port must be 0 to 65535", text)
	}
	host := address[:colon]
	if inner, open := strings.CutPrefix(host, "["); open {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return Endpoint{}, fmt.Errorf("%q: the bracket is not closed", text)
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return Endpoint{}, fmt.Errorf("%q: %s is no IPv6 address", text, host)
		}
	} else if !hostName(host) {
		return Endpoint{}, fmt.Errorf("%q: %q is no host name or address (an IPv6 address needs brackets)", text, host)
	}
	return Endpoint{Name: name, Host: host, Port: int(port)}, nil
}

// hostName says whether a text can be a host's name or IPv4 address, or none.
func hostName(host string) bool {
	for _, r := range host {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '.' && r != '_' {
			return false
		}
	}
	return true
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// Loopback says whether only this machine reaches the listener.
func (l Listener) Loopback() bool {
	if l.Host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(l.Host)
	return err == nil && ip.IsLoopback()
}

// Exposed says whether others reach the listener without TLS or a password.
func (l Listener) Exposed() bool { return !l.Loopback() && l.Protocol != "SASL_SSL" }

// Protect refuses listeners that are exposed.
func Protect(listeners []Listener) error {
	for _, l := range listeners {
		if l.Exposed() {
			host := l.Host
			if host == "" {
				host = "every address"
			}
			return fmt.Errorf("listener %s opens %s on %s: anybody who reaches it could %s; "+
				"use SASL_SSL (milena start --secure), bind it to 127.0.0.1, or say --insecure if the network itself is safe",
				l.Name, l.Protocol, host, danger(l.Protocol))
		}
	}
	return nil
}

func danger(protocol string) string {
	switch protocol {
	case "SASL_PLAINTEXT":
		return "read passwords and records on the way"
	case "SSL":
		return "sign in as nobody and do everything"
	}
	return "read and write everything"
}

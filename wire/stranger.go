package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// strangerBytes is how much of what came first is needed to know it.
const strangerBytes = 8

// sniffer remembers the first bytes that came.
type sniffer struct {
	net.Conn
	seen []byte
}

func (s *sniffer) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if len(s.seen) < strangerBytes {
		s.seen = append(s.seen, b[:min(n, strangerBytes-len(s.seen))]...)
	}
	return n, err
}

// looksLike says what the first bytes of something that is no Kafka request are.
func looksLike(b []byte, onTLS bool) string {
	switch {
	case len(b) >= 3 && b[0] == 0x16 && b[1] == 3 && !onTLS:
		return ": this looks like TLS on a listener without TLS"
	case isHTTP(b):
		return ": this looks like HTTP"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return ": this looks like SSH"
	case onTLS && len(b) >= 4 && b[0] == 0 && b[1] == 0:
		return ": this looks like Kafka without TLS on a TLS listener"
	}
	return ""
}

func isHTTP(b []byte) bool {
	return slices.ContainsFunc([]string{"GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "},
		func(verb string) bool { return bytes.HasPrefix(b, []byte(verb)) })
}

// alert is what a client's TLS refused us with.
func alert(err error) (what string, refused bool) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error(), true
	}
	return "", false
}

// advise adds what to do about a client that refused our certificate.
func advise(err error) error {
	if what, _ := alert(err); strings.Contains(what, "certificate") {
		return fmt.Errorf("%w: the client does not take this instance's certificate: give it phy_ca.crt, and an address that the certificate names", err)
	}
	return err
}

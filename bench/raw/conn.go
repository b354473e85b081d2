package raw

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dialTimeout = 5 * time.Second
	readBuffer  = 64 << 10
	frameMax    = 256 << 20
)

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID("load"))

// Conn is one connection: frames out, frames in, in order.
type Conn struct {
	net.Conn
	in *bufio.Reader
}

// Dial connects to a broker.
func Dial(address string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, in: bufio.NewReaderSize(c, readBuffer)}, nil
}

// Frame encodes a request with its length in front.
func Frame(r kmsg.Request) []byte { return formatter.AppendRequest(nil, r, 1) }

// Body reads the next answer's frame into buf, and gives what is behind the
// correlation id.
func (c *Conn) Body(buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n < 4 || n > frameMax {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.in, buf); err != nil {
		return nil, err
	}
	return buf[4:], nil
}

// Ask sends a request and decodes its answer.
func (c *Conn) Ask(r kmsg.Request) (kmsg.Response, error) {
	if _, err := c.Write(Frame(r)); err != nil {
		return nil, err
	}
	body, err := c.Body(nil)
	if err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	if resp.IsFlexible() && r.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

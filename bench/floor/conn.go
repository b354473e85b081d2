package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	buffer   = 64 << 10
	frameMax = 256 << 20
	queueMax = 64 // requests under way on a connection
)

// conn is one connection. Where what is put is done at once one goroutine does
// it all; else a second one answers, in order.
type conn struct {
	broker *broker
	net    net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	queue  chan *request
}

// request is one on its way.
type request struct {
	kmsg.Request
	correlation uint32
	frame       *frame
	answer      answer
	done        chan error // nil: it is answered at once
}

// answer is a body with the bytes of a file behind it.
type answer struct {
	body   []byte
	name   string // of the file, if any
	at     int64
	length int64
}

// frame is a request's bytes, used again when nobody holds it any more.
type frame struct{ bytes []byte }

var frames = sync.Pool{New: func() any { return new(frame) }}

func (b *broker) serve(n net.Conn) {
	defer n.Close()
	c := &conn{broker: b, net: n, in: bufio.NewReaderSize(n, buffer), out: bufio.NewWriterSize(n, buffer), queue: make(chan *request, queueMax)}
	var writer sync.WaitGroup
	if b.later {
		writer.Go(c.write)
	}
	err := c.read()
	close(c.queue)
	writer.Wait()
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		fmt.Fprintln(os.Stderr, "floor: connection:", err)
	}
}

// read serves until the connection ends, and says how.
func (c *conn) read() error {
	for {
		r, err := c.next()
		if err != nil {
			return err
		}
		if err := c.broker.start(r); err != nil {
			return err
		}
		if c.broker.later {
			c.queue <- r
			continue
		}
		if err := c.send(r); err != nil {
			return err
		}
		if c.in.Buffered() < 4 { // else another may be here already
			if err := c.out.Flush(); err != nil {
				return err
			}
		}
	}
}

// write answers when it is time to.
func (c *conn) write() {
	var failed error
	for r := range c.queue {
		if r.done != nil {
			failed = errors.Join(failed, <-r.done)
		}
		if failed == nil {
			failed = c.send(r)
		}
		if failed == nil && len(c.queue) == 0 {
			failed = c.out.Flush()
		}
		if failed != nil {
			c.net.Close()
		}
	}
}

// next reads a request.
func (c *conn) next() (*request, error) {
	size, err := c.in.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size))
	c.in.Discard(4) //nolint:errcheck // they were peeked
	if n < 10 || n > frameMax {
		return nil, fmt.Errorf("a request of %d bytes", n)
	}
	f := frames.Get().(*frame)
	if cap(f.bytes) < n {
		f.bytes = make([]byte, n)
	}
	f.bytes = f.bytes[:n]
	if _, err := io.ReadFull(c.in, f.bytes); err != nil {
		return nil, err
	}
	return parse(f)
}

// parse takes a request's header off, and decodes the rest.
func parse(f *frame) (*request, error) {
	b := f.bytes
	key, version := int16(binary.BigEndian.Uint16(b)), int16(binary.BigEndian.Uint16(b[2:]))
	r := &request{Request: kmsg.RequestForKey(key), correlation: binary.BigEndian.Uint32(b[4:]), frame: f}
	if r.Request == nil {
		return nil, fmt.Errorf("nothing has API key %d", key)
	}
	r.SetVersion(version)
	b = b[8:]
	client := int(int16(binary.BigEndian.Uint16(b)))
	b = b[2:]
	if client > len(b) {
		return nil, fmt.Errorf("a client id of %d bytes", client)
	}
	b = b[max(client, 0):]
	if r.IsFlexible() {
		if len(b) == 0 || b[0] != 0 {
			return nil, fmt.Errorf("API key %d: a header with tags", key)
		}
		b = b[1:]
	}
	if unsafe, ok := r.Request.(interface{ UnsafeReadFrom([]byte) error }); ok {
		return r, unsafe.UnsafeReadFrom(b)
	}
	return r, r.ReadFrom(b)
}

// send puts an answer out, and lets go of the request.
func (c *conn) send(r *request) error {
	defer frames.Put(r.frame)
	flexible := r.IsFlexible() && r.Key() != int16(kmsg.ApiVersions)
	size := 4 + len(r.answer.body) + int(r.answer.length)
	if flexible {
		size++
	}
	head := binary.BigEndian.AppendUint32(c.out.AvailableBuffer(), uint32(size))
	head = binary.BigEndian.AppendUint32(head, r.correlation)
	if flexible {
		head = append(head, 0)
	}
	c.out.Write(head) //nolint:errcheck // a writer that failed says so when it is flushed
	if _, err := c.out.Write(r.answer.body); err != nil || r.answer.length == 0 {
		return err
	}
	return c.sendFile(&r.answer)
}

// sendFile sends a file's range. The file is opened anew, for its position is
// the one that sendfile moves.
func (c *conn) sendFile(a *answer) error {
	f, err := os.Open(a.name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(a.at, io.SeekStart); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	_, err = io.CopyN(c.net, f, a.length)
	return err
}

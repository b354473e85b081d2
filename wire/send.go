package wire

import (
	"errors"
	"io"
	"net"
	"time"

	"milena/api"
)

// A peer that takes less than sendWindow within writeTime is too slow to wait
// for; an answer of any size may take as many windows as it needs.
const (
	sendWindow = 256 << 10
	copyBuffer = 256 << 10
)

var errShortFile = errors.New("a segment ended before its range did")

// send writes to the peer, and counts.
func (c *conn) send(b []byte) error {
	for len(b) > 0 {
		window := b[:min(len(b), sendWindow)]
		c.writeWithin(writeTime)
		n, err := c.net.Write(window)
		c.counters.sent.Add(uint64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *conn) writeWithin(d time.Duration) {
	c.socket.SetWriteDeadline(time.Now().Add(d)) //nolint:errcheck // a dead connection shows when it is written to
}

// sendAll writes pieces: in one call to the system where it can be, else
// joined, so that TLS records are large.
func (c *conn) sendAll(pieces net.Buffers) error {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	if len(pieces) == 1 && size <= sendWindow {
		return c.send(pieces[0])
	}
	if sent, err := c.sendPieces(pieces, size); sent || err != nil {
		return err
	}
	return c.sendJoined(pieces)
}

func (c *conn) sendJoined(pieces net.Buffers) error {
	var joined []byte
	for _, p := range pieces {
		if len(joined) > 0 && len(joined)+len(p) > copyBuffer {
			if err := c.send(joined); err != nil {
				return err
			}
			joined = joined[:0]
		}
		if len(p) >= copyBuffer {
			if err := c.send(p); err != nil {
				return err
			}
			continue
		}
		joined = append(joined, p...)
	}
	return c.send(joined)
}

// sendFile sends a file's range: without a copy where that can be.
func (c *conn) sendFile(p api.Part) error {
	sent, err := c.sendFromFile(p)
	if sent || err != nil {
		return err
	}
	buf := make([]byte, min(copyBuffer, p.Length))
	for at, left := p.At, p.Length; left > 0; {
		n := min(left, len(buf))
		if _, err := p.File.ReadAt(buf[:n], at); err != nil {
			if errors.Is(err, io.EOF) {
				return errShortFile
			}
			return err
		}
		if err := c.send(buf[:n]); err != nil {
			return err
		}
		at, left = at+int64(n), left-n
	}
	return nil
}

package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"milena/api"
)

// Answers are gathered into one write, up to so many bytes.
const gatherBytes = 256 << 10

// write finishes requests in order, and sends what is ready.
func (c *conn) write() (err error) {
	defer c.caught(&err)
	out := &output{conn: c}
	for w := range c.queue {
		if err == nil {
			err = c.answer(w, out)
		} else {
			w.finish = nil
		}
		w.frame.Release()
		if err == nil && (len(c.queue) == 0 || out.size() >= gatherBytes) {
			err = out.flush()
		}
		if err != nil {
			c.cancel(err)
			c.stopReading()
		}
	}
	if err == nil {
		err = out.flush()
	}
	out.drop()
	return err
}

// answer finishes one request. What is ready goes out before something waits.
func (c *conn) answer(w waiting, out *output) error {
	a := w.finish(withFlush{c.ctx, out})
	if out.err != nil {
		if a.Release != nil {
			a.Release()
		}
		return out.err
	}
	switch {
	case a.Close != nil:
		out.flush() //nolint:errcheck // it closes anyway
		return a.Close
	case a.Silent:
		return nil
	}
	size := len(a.Body)
	for _, p := range a.Parts {
		size += len(p.Bytes) + fileLength(p)
	}
	head := 4
	if w.flexible {
		head++
	}
	if w.raw {
		head = 0
	}
	out.head(size+head, w)
	if a.Parts == nil {
		out.bytes(a.Body)
		if a.Release != nil {
			out.releases = append(out.releases, a.Release)
		}
		return nil
	}
	for _, p := range a.Parts {
		if p.File == nil {
			out.bytes(p.Bytes)
			continue
		}
		if err := out.file(p); err != nil {
			if a.Release != nil {
				a.Release()
			}
			return err
		}
	}
	if a.Release != nil {
		out.releases = append(out.releases, a.Release)
	}
	return nil
}

func fileLength(p api.Part) int {
	if p.File == nil {
		return 0
	}
	return p.Length
}

// output gathers answers.
type output struct {
	conn     *conn
	pieces   net.Buffers
	total    int
	small    []byte // heads and small answers, one after the other
	releases []func()
	err      error
}

func (o *output) size() int { return o.total }

func (o *output) head(size int, w waiting) {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	if !w.raw {
		b = binary.BigEndian.AppendUint32(b, uint32(w.correlation))
		if w.flexible {
			b = append(b, 0)
		}
	}
	o.bytes(b)
}

const smallPiece = 2 << 10

// bytes puts bytes behind what is gathered; small ones are copied together.
func (o *output) bytes(b []byte) {
	if len(b) == 0 {
		return
	}
	o.total += len(b)
	if len(b) > smallPiece {
		o.seal()
		o.pieces = append(o.pieces, b)
		return
	}
	o.small = append(o.small, b...)
}

func (o *output) seal() {
	if len(o.small) > 0 {
		o.pieces = append(o.pieces, o.small)
		o.small = nil
	}
}

// file sends a file's range, behind what is gathered.
func (o *output) file(p api.Part) error {
	if err := o.flushKeeping(); err != nil {
		return err
	}
	o.conn.net.SetWriteDeadline(time.Now().Add(writeTime)) //nolint:errcheck // a dead connection shows below
	sent, err := sendFile(o.conn.net, p)
	if err == nil && !sent {
		err = copyFile(o.conn.net, p)
	}
	return err
}

const copyBuffer = 256 << 10

// copyFile sends a file's range through memory, in large writes.
func copyFile(w io.Writer, p api.Part) error {
	buf := make([]byte, min(copyBuffer, p.Length))
	for at, left := p.At, p.Length; left > 0; {
		n := min(left, len(buf))
		if _, err := p.File.ReadAt(buf[:n], at); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		at, left = at+int64(n), left-n
	}
	return nil
}

// flush sends what is gathered, and lets go of what it was.
func (o *output) flush() error {
	err := o.flushKeeping()
	o.drop()
	return err
}

func (o *output) flushKeeping() error {
	o.seal()
	if len(o.pieces) == 0 {
		return nil
	}
	pieces := o.pieces
	o.pieces, o.total = nil, 0
	o.conn.net.SetWriteDeadline(time.Now().Add(writeTime)) //nolint:errcheck // a dead connection shows at once
	if len(pieces) == 1 {
		_, err := o.conn.net.Write(pieces[0])
		return err
	}
	if _, plain := o.conn.net.(*net.TCPConn); !plain { // TLS: one write, so that records are large
		return writeJoined(o.conn.net, pieces)
	}
	_, err := pieces.WriteTo(o.conn.net)
	return err
}

func writeJoined(w io.Writer, pieces net.Buffers) error {
	var joined []byte
	for _, p := range pieces {
		if len(joined)+len(p) > copyBuffer && len(joined) > 0 {
			if _, err := w.Write(joined); err != nil {
				return err
			}
			joined = joined[:0]
		}
		joined = append(joined, p...)
	}
	_, err := w.Write(joined)
	return err
}

// drop lets go of what was sent.
func (o *output) drop() {
	for _, release := range o.releases {
		release()
	}
	o.releases = o.releases[:0]
}

var errShortFile = errors.New("a segment ended before its range did")

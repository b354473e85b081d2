package wire

import (
	"encoding/binary"
	"errors"
	"net"
	"os"

	"milena/api"
)

// Answers are gathered into one write, up to so many bytes.
const gatherBytes = 256 << 10

// write finishes requests in order, and sends what is ready. After a failure
// what waits is let go of and not answered.
func (c *conn) write() error {
	out := &output{conn: c}
	var failed error
	for w := range c.queue {
		if failed == nil {
			failed = c.answer(w, out)
		} else {
			w.frame.Release()
		}
		c.pending.Add(-1)
		if failed == nil && (len(c.queue) == 0 || out.total >= gatherBytes) {
			failed = c.flush(w.key, out)
		}
		if failed != nil {
			c.cancel(failed)
			c.stopReading()
		}
	}
	for len(out.releases) > 0 { // one that panics does not keep the others
		c.drop(out)
	}
	if errors.Is(failed, os.ErrDeadlineExceeded) {
		return errTooSlow
	}
	return failed
}

// flush sends what is gathered.
func (c *conn) flush(key int16, out *output) (err error) {
	defer c.caught(&key, &err)
	return out.flush()
}

// drop lets go of what a failure left.
func (c *conn) drop(out *output) {
	var err error // of a panic, and told
	key := int16(noKey)
	defer c.caught(&key, &err)
	out.drop()
}

// answer finishes one request, and gathers its answer. What is ready goes out
// before something waits.
func (c *conn) answer(w waiting, out *output) (err error) {
	defer c.caught(&w.key, &err)
	defer w.frame.Release()
	a := w.finish(withFlush{c.ctx, out})
	if a.Release != nil {
		out.releases = append(out.releases, a.Release)
	}
	switch {
	case out.err != nil:
		return out.err
	case a.Close != nil:
		out.flush() //nolint:errcheck // it closes anyway
		return a.Close
	case a.Silent:
		return nil
	}
	if err := out.answer(w, a); err != nil {
		return err
	}
	if w.last != nil {
		if err := out.flush(); err != nil {
			return err
		}
	}
	return w.last
}

// output gathers answers.
type output struct {
	conn     *conn
	pieces   net.Buffers
	total    int
	small    []byte // heads and small answers, one after the other
	releases []func()
	err      error // of a flush before a wait
}

func (o *output) answer(w waiting, a api.Answer) error {
	size := len(a.Body)
	for _, p := range a.Parts {
		size += len(p.Bytes)
		if p.File != nil {
			size += p.Length
		}
	}
	o.head(size, w)
	o.bytes(a.Body)
	for _, p := range a.Parts {
		if p.File == nil {
			o.bytes(p.Bytes)
			continue
		}
		if err := o.file(p); err != nil {
			return err
		}
	}
	return nil
}

// head writes the length and the response header in front of a body.
func (o *output) head(body int, w waiting) {
	switch {
	case w.raw:
		o.bytes(binary.BigEndian.AppendUint32(nil, uint32(body)))
	case w.flexible:
		b := binary.BigEndian.AppendUint32(nil, uint32(body+5))
		o.bytes(append(binary.BigEndian.AppendUint32(b, uint32(w.correlation)), 0))
	default:
		b := binary.BigEndian.AppendUint32(nil, uint32(body+4))
		o.bytes(binary.BigEndian.AppendUint32(b, uint32(w.correlation)))
	}
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
	if err := o.send(); err != nil {
		return err
	}
	return o.conn.sendFile(p)
}

// flush sends what is gathered, and lets go of what it was.
func (o *output) flush() error {
	err := o.send()
	o.drop()
	return err
}

func (o *output) send() error {
	o.seal()
	if len(o.pieces) == 0 {
		return nil
	}
	pieces := o.pieces
	o.pieces, o.total = nil, 0
	return o.conn.sendAll(pieces)
}

// drop lets go of what was sent.
func (o *output) drop() {
	for len(o.releases) > 0 {
		release := o.releases[0]
		o.releases = o.releases[1:]
		release()
	}
}

package wire

import (
	"net"

	"golang.org/x/sys/unix"

	"milena/api"
)

// sendFromFile sends a file's range without a copy; false where that can't be.
// The offset is explicit, for the same file is sent to many at once.
func (c *conn) sendFromFile(p api.Part) (bool, error) {
	tcp, ok := c.net.(*net.TCPConn)
	if !ok {
		return false, nil
	}
	fd, ok := p.File.Descriptor()
	if !ok {
		return false, nil
	}
	at, from, left := p.At, int(fd), p.Length
	return true, c.straight(tcp, left, func(to int) (int, error) {
		n, err := unix.Sendfile(to, from, &at, left)
		if err == nil && n == 0 {
			err = errShortFile
		}
		left -= max(n, 0)
		return n, err
	})
}

// sendPieces sends pieces of memory; false where that can't be.
func (c *conn) sendPieces(pieces [][]byte, size int) (bool, error) {
	tcp, ok := c.net.(*net.TCPConn)
	if !ok {
		return false, nil
	}
	return true, c.straight(tcp, size, func(to int) (int, error) {
		n, err := unix.Writev(to, pieces[:min(len(pieces), piecesMax)])
		for left := n; left > 0; {
			taken := min(left, len(pieces[0]))
			left -= taken
			if pieces[0] = pieces[0][taken:]; len(pieces[0]) == 0 {
				pieces = pieces[1:]
			}
		}
		return n, err
	})
}

const piecesMax = 1024 // of one call

// straight sends by calls to the system, as much as the peer takes at a time,
// and gives it writeTime anew for every sendWindow.
func (c *conn) straight(tcp *net.TCPConn, left int, call func(to int) (int, error)) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	c.writeWithin(writeTime)
	window := sendWindow
	err = raw.Write(func(to uintptr) bool {
		for left > 0 {
			n, err := call(int(to))
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
				continue
			case err != nil:
				failed = err
				return true
			}
			left -= n
			c.counters.sent.Add(uint64(n))
			if window -= n; window <= 0 {
				window = sendWindow
				c.writeWithin(writeTime)
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return err
}

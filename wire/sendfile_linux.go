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
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false, err
	}
	at, left := p.At, p.Length
	var sendErr error
	c.writeWithin(writeTime)
	window := sendWindow
	err = raw.Write(func(to uintptr) bool {
		for left > 0 {
			n, err := unix.Sendfile(int(to), int(fd), &at, left)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
				continue
			case err != nil:
				sendErr = err
				return true
			case n == 0:
				sendErr = errShortFile
				return true
			}
			left -= n
			if window -= n; window <= 0 {
				window = sendWindow
				c.writeWithin(writeTime)
			}
		}
		return true
	})
	c.counters.sent.Add(uint64(p.Length - left))
	if err == nil {
		err = sendErr
	}
	return true, err
}

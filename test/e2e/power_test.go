//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EXT4_IOC_SHUTDOWN with this flag stops the file system at once: nothing more
// is written, not even its own log.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// cutPower takes the power away from a mounted ext4.
func cutPower(mount string) error {
	d, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer d.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("shut %s down: %w", mount, errno)
	}
	return nil
}

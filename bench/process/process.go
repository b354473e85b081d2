// Package process tells what a process spends, from what Linux says of it.
package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const ticksPerSecond = 100 // USER_HZ, fixed by Linux's ABI

// Spent is what a process has used since it began.
type Spent struct {
	CPU        float64 // seconds, user and system, all threads
	RSS        int64   // bytes, now
	WriteBytes int64   // to storage, counted when a page becomes dirty
}

// Look reads what the process has spent; a zero pid gives zeros.
func Look(pid int) (Spent, error) {
	if pid == 0 {
		return Spent{}, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Spent{}, err
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	s := Spent{CPU: float64(user+system) / ticksPerSecond, RSS: pages * int64(os.Getpagesize())}
	if io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)); err == nil {
		for line := range strings.Lines(string(io)) {
			if value, ok := strings.CutPrefix(line, "write_bytes: "); ok {
				s.WriteBytes, _ = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			}
		}
	}
	return s, nil
}

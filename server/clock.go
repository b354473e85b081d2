package server

import "time"

// clock is where time enters an instance. Machines are told the time; what
// waits, waits in real time.
type clock func() time.Time

package server

import "time"

// clock is where time enters an instance: records, segments, groups, producers
// and certificates age by it. Machines are told the time; what waits, waits in
// real time.
type clock func() time.Time

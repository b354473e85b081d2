package file

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// BenchmarkAppend is many logs that append at once to a journal on this machine's
// disk: MB/s is of bodies, and beside it stand what the disk got for each byte of
// them, the writes, and the processor's time for each GB.
//
// TMPDIR says which disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{128, 16 << 10, 1 << 20} {
		for _, under := range []int{1, 64} { // entries of each log on their way
			b.Run(fmt.Sprintf("size=%d/window=%d", size, under), func(b *testing.B) { appendMany(b, size, under) })
		}
	}
}

const benchLogs = 16

func appendMany(b *testing.B, size, under int) {
	fs, err := disk.OS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	j, err := Open(fs, "journal", Options{Logs: benchLogs})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	writers := make([]*journaltest.Writer, benchLogs)
	for log := range writers {
		writers[log] = &journaltest.Writer{Log: uint16(log)}
	}
	body := [][]byte{make([]byte, size)}
	save := func() { // so that files are used again
		var snapshots []journal.Snapshot
		for _, w := range writers {
			snapshots = append(snapshots, journal.Snapshot{Log: w.Log, Place: w.Place, Token: w.Token, Keep: w.Place})
		}
		if err := j.Save(b.Context(), snapshots); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var failed atomic.Int64
	var written int64
	room := make(chan struct{}, benchLogs*under)
	done := func(o []journal.Outcome) {
		if o[0] != journal.OK {
			failed.Add(1)
		}
		<-room
	}
	drain := func() { // until all is durable
		for range cap(room) {
			room <- struct{}{}
		}
		for range cap(room) {
			<-room
		}
	}
	before, began := processorTime(b), time.Now()
	b.ResetTimer()
	for i := range b.N {
		room <- struct{}{}
		e := writers[i%benchLogs].Next("")
		e.Body = body
		j.Append([]journal.Entry{e}, done)
		if written += int64(size); written >= saveBytes { // on the clock, as it is in an instance
			drain()
			save()
			save()
			written = 0
		}
	}
	drain()
	b.StopTimer()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d of %d entries were not taken", n, b.N)
	}
	stats := j.Stats()
	gb := float64(b.N) * float64(size) / 1e9
	b.ReportMetric((processorTime(b)-before).Seconds()/gb, "cpu-s/GB")
	b.ReportMetric(float64(stats.WrittenBytes)/float64(stats.Bytes), "written/B")
	b.ReportMetric(float64(stats.Writes)/time.Since(began).Seconds(), "writes/s")
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

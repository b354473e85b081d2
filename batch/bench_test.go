package batch

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkCheck is the hot path: a batch that is not compressed.
func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprintf("records=%d", size), func(b *testing.B) {
			builder := &Builder{}
			value := bytes.Repeat([]byte{'v'}, size)
			count := 16384 / size
			for i := range count {
				builder.Add(1700000000000+int64(i), nil, value)
			}
			made := builder.Build()
			rules := Rules{Version: 9, MaxBytes: 1 << 20, Now: 1700000001000, BeforeMax: 1 << 60, AfterMax: 3_600_000}
			b.SetBytes(int64(len(made)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Check(made, rules); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/record")
		})
	}
	b.Run("crc", func(b *testing.B) {
		made := make([]byte, 16384)
		b.SetBytes(16384)
		for b.Loop() {
			Sum(made)
		}
	})
}

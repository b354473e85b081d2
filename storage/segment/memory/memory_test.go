package memory

import (
	"testing"

	"milena/storage/segment"
	"milena/storage/segment/segmenttest"
)

func TestConformance(t *testing.T) {
	segmenttest.Run(t, func(*testing.T) segment.Store { return New() })
}

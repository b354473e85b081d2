package memory

import (
	"testing"

	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

func TestConformance(t *testing.T) {
	journaltest.Run(t, journaltest.Engine{
		Open:   func(t *testing.T, _ int) journal.Journal { return New() },
		Reopen: func(t *testing.T, j journal.Journal) journal.Journal { return j.(*Journal).Reopen() },
	})
}

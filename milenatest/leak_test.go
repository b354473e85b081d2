package milenatest

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that a test started is left running behind it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

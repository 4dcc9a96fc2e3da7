package gateway

import (
	"testing"

	"go.uber.org/goleak"
)

// A goroutine that outlives the tests is a leak of the server.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

package store_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"wsauth/store"
	"wsauth/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Revocations(t, storetest.Config{
		Open: func(*testing.T) store.Revocations { return store.NewMemory(0) },
		Run:  synctest.Test,
	})
}

// TestMemoryInRealTime: the suite runs outside of a bubble too, as for stores
// whose time is not the test's.
func TestMemoryInRealTime(t *testing.T) {
	storetest.Revocations(t, storetest.Config{
		Open: func(*testing.T) store.Revocations { return store.NewMemory(0) },
	})
}

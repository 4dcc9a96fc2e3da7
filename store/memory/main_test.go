package memory_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMemoryKeepsTheContract checks the contract with the suites of storetest,
// in a synctest bubble and in real time. Stores with their own clock are tested
// in real time.
func TestMemoryKeepsTheContract(t *testing.T) {
	for name, run := range map[string]func(*testing.T, func(*testing.T)){"bubble": synctest.Test, "real time": nil} {
		t.Run(name, func(t *testing.T) {
			storetest.Cluster(t, storetest.Config[store.Cluster]{
				Open: func(*testing.T) store.Cluster { return memory.New(store.Limits{}) },
				OpenSmall: func(*testing.T) store.Cluster {
					return memory.New(store.Limits{Revocations: 3, Tickets: 3, Sessions: 3, Events: 3})
				},
				Run: run,
			})
		})
	}
}

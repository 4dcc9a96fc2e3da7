package storetest

import (
	"testing"

	"wsauth/store"
)

// Store runs the suites of all parts of a [store.Store].
func Store[S store.Store](t *testing.T, c Config[S]) {
	t.Run("revocations", func(t *testing.T) { Revocations(t, c) })
	t.Run("tickets", func(t *testing.T) { Tickets(t, c) })
	t.Run("sessions", func(t *testing.T) { Sessions(t, c) })
	t.Run("clock", func(t *testing.T) { Clock(t, c) })
}

// Cluster runs the suites of all parts of a [store.Cluster].
func Cluster[S store.Cluster](t *testing.T, c Config[S]) {
	Store(t, c)
	t.Run("log", func(t *testing.T) { Log(t, c) })
	t.Run("nodes", func(t *testing.T) { Nodes(t, c) })
	t.Run("counters", func(t *testing.T) { Counters(t, c) })
	t.Run("buckets", func(t *testing.T) { Buckets(t, c) })
	t.Run("records", func(t *testing.T) { Records(t, c) })
}

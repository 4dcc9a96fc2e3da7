package bolt

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/internal/revindex"
	"wsauth/store"
)

// TestSizeOfAnEntry checks that the space that a revocation takes on disk and
// in the memory of a node is within 25 % of that in the example configuration.
func TestSizeOfAnEntry(t *testing.T) {
	example, err := os.ReadFile("../../internal/config/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`about (\d+) bytes on disk and (\d+) in memory`).FindSubmatch(example)
	if said == nil {
		t.Fatal("the example does not say how large an entry is")
	}
	const n = 10_000
	s := open(t, newPath(t), store.Limits{})
	for written := 0; written < n; written += store.MaxPage {
		page := make([]store.Revocation, store.MaxPage)
		for i := range page {
			page[i] = store.Revocation{Target: store.TargetSession, ID: store.NewSessionID(time.Now()), Expires: time.Now().Add(time.Hour)}
		}
		if err := s.Revoke(t.Context(), page...); err != nil {
			t.Fatal(err)
		}
	}
	var disk int64
	if err := s.db.bolt.View(func(tx *bbolt.Tx) error { disk = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	x, err := revindex.New(revindex.Config{Log: s})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- x.Run(ctx) }()
	<-x.Ready()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	memory := heap() - before
	if x.Len() != n {
		t.Fatalf("the index has %d of %d", x.Len(), n)
	}
	for i, got := range []int64{disk / n, memory / n} {
		want, err := strconv.ParseInt(string(said[i+1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got < want*3/4 || got > want*5/4 {
			t.Errorf("an entry takes %d bytes %s, and the example says %d", got, [...]string{"on disk", "in memory"}[i], want)
		}
	}
}

// heap returns how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the first run may leave objects with finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

package revindex

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// BenchmarkRevoked looks up tokens in an index of a million entries. Most
// entries revoke a token, and one in eight of the tokens looked up is revoked.
// B/entry is the memory of an entry, including its names. The claims are close
// together in memory, as if just verified, but the entries are not.
func BenchmarkRevoked(b *testing.B) {
	const n = million
	moment := time.UnixMilli(1_700_000_000_000)
	claims := make([]token.Claims, 1<<16)
	for i := range claims {
		claims[i] = token.Claims{ID: store.NewSessionID(time.Now()), SessionID: store.NewSessionID(time.Now()), Subject: fmt.Sprint("user-", i), IssuedAt: moment}
	}
	x, err := New(Config{Log: memory.New(store.Limits{})})
	if err != nil {
		b.Fatal(err)
	}
	before := heapInUse()
	for i := range n {
		r := store.Revocation{Target: store.TargetToken, ID: store.NewSessionID(time.Now()), Expires: moment.Add(time.Duration(i%3600) * time.Second)}
		switch i % 10 {
		case 8:
			r.Target = store.TargetSession
		case 9:
			r.Target, r.Before = store.TargetSubject, moment
		}
		x.set.put(r)
		if i < len(claims) && i%8 == 0 {
			claims[i].ID = strings.Clone(r.ID)
		}
	}
	perEntry := float64(heapInUse()-before) / n
	i, revoked := 0, 0
	for b.Loop() {
		if x.Revoked(&claims[i%len(claims)]) {
			revoked++
		}
		i++
	}
	if revoked == 0 && i > 8 {
		b.Error("nothing is revoked")
	}
	b.ReportMetric(perEntry, "B/entry")
	runtime.KeepAlive(x)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkResync reads a log of a million revocations into an empty index, as
// a node does when it starts.
func BenchmarkResync(b *testing.B) {
	log := fullLog(b)
	for b.Loop() {
		resync(b, log)
	}
}

// BenchmarkRestore adds a million revocations to a log that has lost them.
func BenchmarkRestore(b *testing.B) {
	x := resync(b, fullLog(b))
	for b.Loop() {
		x.config.Log, x.restoring = memory.New(store.Limits{}), newRestoration()
		if err := x.restore(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

const million = 1_000_000

// fullLog returns a log of a million revocations.
func fullLog(b *testing.B) *memory.Store {
	log := memory.New(store.Limits{})
	for n := 0; n < million; n += store.MaxPage {
		page := make([]store.Revocation, store.MaxPage)
		for i := range page {
			page[i] = store.Revocation{Target: store.TargetSession, ID: store.NewSessionID(time.Now()), Expires: time.Now().Add(time.Hour)}
		}
		if err := log.Revoke(b.Context(), page...); err != nil {
			b.Fatal(err)
		}
	}
	return log
}

// resync returns an index that has read a log to its end.
func resync(b *testing.B, log store.Revocations) *Index {
	x, err := New(Config{Log: log})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = x.Run(ctx) }()
	<-x.Ready()
	cancel()
	<-done
	if x.Len() != million {
		b.Fatalf("%d revocations", x.Len())
	}
	return x
}

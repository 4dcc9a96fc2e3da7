package wsauth

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"wsauth/token"
)

// TestSessionMemory: what the guard itself holds of an open socket, the
// registry's places and the timer included, is at most 1 KB. The connection,
// the handler's goroutine and the claims are not the guard's.
func TestSessionMemory(t *testing.T) {
	const n = 10_000
	claims := make([]*token.Claims, n)
	for i := range claims {
		claims[i] = &token.Claims{
			Subject: fmt.Sprint("user-", i), ID: fmt.Sprint("token-", i), SessionID: fmt.Sprint("session-", i),
			ExpiresAt: time.Now().Add(time.Hour),
		}
	}
	sessions := make([]*Session, n)
	g := &Guard{now: time.Now, sockets: newRegistry(Limits{PerSubject: 10})}
	before := heap()
	for i := range sessions {
		s := &Session{guard: g, remote: "192.0.2.1:1234"}
		s.claims.Store(claims[i])
		s.timer = time.AfterFunc(noEnd, s.timedOut)
		s.endsBy()
		if _, err := g.sockets.admit(s); err != nil {
			t.Fatal(err)
		}
		sessions[i] = s
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes for each session", each)
	if each > 1000 || each < 100 {
		t.Errorf("%.0f bytes for each session", each)
	}
	for _, s := range sessions {
		s.timer.Stop()
		g.sockets.forget(s)
	}
	for grain, names := range g.sockets.rings {
		if len(names) > 0 {
			t.Errorf("%d names of grain %d are left", len(names), grain)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first may leave what finalizers hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

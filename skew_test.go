package wsauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"wsauth/internal/wsconn"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// reading returns a time like one of time.Now whose wall clock and monotonic
// clock have diverged, as after a suspension or after somebody has set the
// clock. Package time offers no way to make one, not even in a synctest bubble.
func reading(wall time.Time, monotonic time.Duration) time.Time {
	first := time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC)
	t := wall
	raw := (*struct {
		wall uint64 // a flag, seconds since first, nanoseconds
		ext  int64  // nanoseconds of the monotonic clock
		loc  *time.Location
	})(unsafe.Pointer(&t)) //nolint:gosec // the layout is checked below
	raw.wall = 1<<63 | uint64(wall.Unix()-first.Unix())<<30 | uint64(wall.Nanosecond()) //nolint:gosec // after 1885
	raw.ext = int64(monotonic)
	if !t.Round(0).Equal(wall) || monotonic > 0 && t.Sub(reading(wall, 0)) != monotonic {
		panic("package time keeps its readings in another way")
	}
	return t
}

// A suspension is a guard on a machine that can be suspended, or whose clock
// can be set: the wall clock moves, and the monotonic clock stands still.
type suspension struct {
	*crowd
	log  *failingLog // nil if the guard follows none
	skew atomic.Int64
}

// setClock moves the wall clock. The store is on the same machine.
func (x *suspension) setClock(by time.Duration) {
	x.skew.Add(int64(by))
	if x.log != nil {
		x.log.ahead.Add(int64(by))
	}
}

func inSuspension(t *testing.T, revocations bool, f func(t *testing.T, x *suspension)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &suspension{}
		c := Config{Verifier: new(token.Verifier), Extractors: []Extractor{FirstMessage{}}}
		if revocations {
			x.log = &failingLog{Store: memory.New(store.Limits{})}
			c.Revocations = x.log
		}
		begun := time.Now()
		guard, err := newGuard(c, func() time.Time {
			now := time.Now()
			return reading(now.Add(time.Duration(x.skew.Load())), now.Sub(begun))
		})
		if err != nil {
			t.Fatal(err)
		}
		if revocations {
			<-guard.revocations.index.Ready()
		}
		x.crowd = &crowd{guard: guard, derived: guard}
		f(t, x)
		for _, s := range x.open {
			x.close(s)
		}
		if err := guard.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * wsconn.Grace)
		if guard.pulse.last.Load() != nil && !revocations {
			t.Error("the guard reads the clock with nothing open")
		}
	})
}

// with opens a socket whose token has the given lifetime.
func (x *suspension) with(t *testing.T, life time.Duration) *Socket {
	t.Helper()
	s, err := x.socket(x.guard, "192.0.2.1:1", &token.Claims{Subject: "ada", ExpiresAt: x.guard.now().Round(0).Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSuspended checks that after an hour of suspension, the sockets whose
// tokens have expired end when the guard next reads the clock, and that no
// frame passes before. The others stay open.
func TestSuspended(t *testing.T) {
	for name, revocations := range map[string]bool{"with a log": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			inSuspension(t, revocations, func(t *testing.T, x *suspension) {
				server, client := net.Pipe()
				defer client.Close()
				expired, good := x.with(t, 30*time.Minute), x.with(t, 2*time.Hour)
				talking := x.talks(t, server, client, 30*time.Minute)
				go func() { _, _ = io.Copy(io.Discard, client) }()
				time.Sleep(10 * time.Second)
				x.setClock(time.Hour)
				resumed := time.Now()
				if !x.guard.Paused() {
					t.Fatal("frames pass before the guard has read the clock")
				}
				read := make(chan error, 1)
				go func() { _, err := talking.ender.(*wsconn.Conn).Read(make([]byte, 1)); read <- err }()
				go func() { _, _ = client.Write([]byte("x")) }()
				if err := <-read; !errors.Is(err, TokenExpired) {
					t.Errorf("read: %v", err)
				}
				for x.guard.Paused() {
					time.Sleep(time.Millisecond)
				}
				if !errors.Is(expired.checkOpen(), TokenExpired) || good.checkOpen() != nil {
					t.Errorf("%v and %v", expired.checkOpen(), good.checkOpen())
				}
				if d := time.Since(resumed); d > readerTurn {
					t.Errorf("paused for %v", d)
				}
				time.Sleep(3 * time.Hour)
				if !errors.Is(good.checkOpen(), TokenExpired) {
					t.Errorf("the other ends with %v", good.checkOpen())
				}
			})
		})
	}
}

// talks opens a socket over the given connection.
func (x *suspension) talks(t *testing.T, server, client net.Conn, life time.Duration) *Socket {
	t.Helper()
	conn := wsconn.New(server, func() {})
	conn.HoldWhile(x.guard.Paused)
	claims := &token.Claims{Subject: "ada", ExpiresAt: x.guard.now().Round(0).Add(life)}
	s, err := x.guard.Admit(request("192.0.2.1:1"), Access, claims, conn)
	if err != nil {
		t.Fatal(err)
	}
	wsconn.NewResponse(conn).Attach(s)
	x.open = append(x.open, s)
	return s
}

// TestSuspendedAfterTheFirstMessage checks that a socket whose token came in
// its first message ends like the others. While no client has authenticated,
// the guard does not read the clock.
func TestSuspendedAfterTheFirstMessage(t *testing.T) {
	inSuspension(t, false, func(t *testing.T, x *suspension) {
		s, err := x.socket(x.guard, "192.0.2.1:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.guard.pulse.last.Load() != nil {
			t.Error("the guard reads the clock for a socket without a token")
		}
		claims := &token.Claims{Subject: "ada", ExpiresAt: x.guard.now().Round(0).Add(30 * time.Minute)}
		if _, err := s.storeClaims(claims, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		x.setClock(time.Hour)
		time.Sleep(pulseEvery + time.Millisecond)
		if !errors.Is(s.checkOpen(), TokenExpired) {
			t.Errorf("it ends with %v", s.checkOpen())
		}
	})
}

// TestSuspendedRequests checks that requests that are followed or held end like
// sockets, except transfers of known length.
func TestSuspendedRequests(t *testing.T) {
	follow := func(s *Socket) error { Follow(s.Context(), nil); return nil }
	for _, revocations := range []bool{true, false} {
		for name, c := range map[string]struct {
			begin func(s *Socket) error
			want  error
		}{
			"held":     {func(s *Socket) error { return Hold(s.Context()) }, TokenExpired},
			"followed": {follow, TokenExpired},
			"bounded":  {func(s *Socket) error { Follow(s.Context(), nil); s.SetTransfer(Bounded); return nil }, nil},
		} {
			t.Run(fmt.Sprintf("%s, with a log: %t", name, revocations), func(t *testing.T) {
				inSuspension(t, revocations, func(t *testing.T, x *suspension) {
					s := x.guard.newSocket(request("192.0.2.1:1"), Access, &token.Claims{Subject: "ada", ExpiresAt: x.guard.now().Round(0).Add(30 * time.Minute)})
					defer s.release()
					if err := c.begin(s); err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * followAfter)
					x.setClock(time.Hour)
					time.Sleep(readerTurn)
					if err := s.checkOpen(); !errors.Is(err, c.want) {
						t.Errorf("it ends with %v, want %v", err, c.want)
					}
				})
			})
		}
	}
}

// TestSuspendedWithoutStore checks that the guard admits no client and ends its
// sockets if the store does not answer after a suspension. Its copy of the
// revocations is then stale, although the monotonic clock stood still.
func TestSuspendedWithoutStore(t *testing.T) {
	inSuspension(t, true, func(t *testing.T, x *suspension) {
		s := x.with(t, 2*time.Hour)
		time.Sleep(10 * time.Second)
		x.log.fails.Store(true)
		x.setClock(time.Hour)
		if err := x.guard.Ready(); !errors.Is(err, StoreUnavailable) {
			t.Errorf("ready: %v", err)
		}
		if err := x.guard.revocations.waitForContact(t.Context()); !errors.Is(err, StoreUnavailable) {
			t.Errorf("a request: %v", err)
		}
		time.Sleep(readerTurn + endStaleWithin)
		if !errors.Is(s.checkOpen(), StoreUnavailable) {
			t.Errorf("the socket ends with %v", s.checkOpen())
		}
	})
}

// TestClockSetBack checks that setting the clock back does not lengthen the
// life of a socket, even if a renewal has reset its timer.
func TestClockSetBack(t *testing.T) {
	for name, revocations := range map[string]bool{"with a log": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			inSuspension(t, revocations, func(t *testing.T, x *suspension) {
				s := x.with(t, 30*time.Minute)
				time.Sleep(time.Minute)
				x.setClock(-time.Hour)
				if x.guard.Paused() {
					t.Error("paused")
				}
				time.Sleep(29*time.Minute - time.Millisecond)
				if s.checkOpen() != nil {
					t.Fatalf("ended early with %v", s.checkOpen())
				}
				time.Sleep(2 * time.Millisecond)
				if !errors.Is(s.checkOpen(), TokenExpired) {
					t.Errorf("after its time: %v", s.checkOpen())
				}
				if err := x.guard.Ready(); err != nil {
					t.Errorf("the guard: %v", err)
				}
			})
		})
	}
}

// TestStaleWhileTheClockIsSetBack checks that silence of the store is measured
// by the clock that shows the longer time.
func TestStaleWhileTheClockIsSetBack(t *testing.T) {
	inSuspension(t, true, func(t *testing.T, x *suspension) {
		s := x.with(t, 2*time.Hour)
		x.log.fails.Store(true)
		x.setClock(-time.Hour)
		time.Sleep(x.guard.config.Staleness + endStaleWithin + pulseEvery)
		if !errors.Is(s.checkOpen(), StoreUnavailable) || !errors.Is(x.guard.Ready(), StoreUnavailable) {
			t.Errorf("the socket: %v, ready: %v", s.checkOpen(), x.guard.Ready())
		}
	})
}

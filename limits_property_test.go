package wsauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/token"
)

// TestLimitsHoldAfterAnySequence checks the limits while sockets are opened,
// authenticated, ended and closed at random, through a guard and one derived
// from it. After each step no limit is exceeded, a refused step has changed
// nothing, and every socket that no longer counts has ended. At the end all
// counters are zero.
func TestLimitsHoldAfterAnySequence(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 22))
			limits := Limits{
				PerSubject: rnd.IntN(4), PerSession: rnd.IntN(3), PerAddress: rnd.IntN(5),
				WhenFull:        []WhenFull{EndOldest, EndOldest, RefuseNew}[rnd.IntN(3)],
				Unauthenticated: 1 + rnd.IntN(4), UnauthenticatedPerAddress: 1 + rnd.IntN(3),
			}
			x := newCrowd(t, limits)
			for step := range 150 {
				x.step(rnd)
				x.check(t, fmt.Sprintf("seed %d, step %d, %+v", seed, step, limits))
				if t.Failed() {
					break
				}
			}
			for _, s := range x.open {
				x.close(s)
			}
			synctest.Wait()
			time.Sleep(2 * wsconn.Grace)
			x.open = nil
			x.check(t, "the end")
			r := x.guard.open.sockets
			for g, names := range r.rings {
				if len(names) > 0 {
					t.Errorf("seed %d: %d names of kind %d are left", seed, len(names), g)
				}
			}
			if !r.anonymous.all.none() || len(r.anonymous.networks) != 0 || r.order.open != 0 {
				t.Errorf("seed %d: %+v, %d networks, %d sockets are left", seed, r.anonymous.all, len(r.anonymous.networks), r.order.open)
			}
			if err := x.guard.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefusedNewcomerEndsNothing checks that a new socket ends no other if one
// limit would evict the oldest socket for it but another limit refuses it.
func TestRefusedNewcomerEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrowd(t, Limits{PerSubject: 1, PerAddress: 3, WhenFull: EndOldest})
		known := func(subject string) *token.Claims {
			return &token.Claims{Subject: subject, ExpiresAt: time.Now().Add(time.Hour)}
		}
		var kept []*Socket
		for _, subject := range []string{"ada", "bob", "eve"} {
			s, err := x.socket(x.guard, "192.0.2.1:1", known(subject))
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, s)
		}
		// Eve's second socket is leaving, so a third is refused.
		if _, err := x.socket(x.guard, "192.0.2.2:1", known("eve")); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err := x.socket(x.guard, "192.0.2.1:2", known("eve")); !errors.Is(err, RateLimited) {
				t.Fatalf("a third socket of eve: %v", err)
			}
			x.check(t, "refused")
		}
		for i, want := range []error{nil, nil, ConnectionLimit} {
			if err := kept[i].checkOpen(); !errors.Is(err, want) {
				t.Errorf("socket %d: %v; want %v", i, err, want)
			}
		}
		time.Sleep(2 * wsconn.Grace)
		for _, s := range x.open {
			x.close(s)
		}
	})
}

// A crowd is a set of clients of a guard.
type crowd struct {
	guard, derived *Guard
	open           []*Socket
}

func newCrowd(t *testing.T, limits Limits) *crowd {
	t.Helper()
	guard, err := New(Config{Verifier: new(token.Verifier), Extractors: []Extractor{FirstMessage{}}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	derived, err := guard.With(func(c *Config) { c.Refusal = RefuseClose })
	if err != nil {
		t.Fatal(err)
	}
	return &crowd{guard: guard, derived: derived}
}

// socket admits a client. If claims is nil, the client sends its token in the
// first message.
func (x *crowd) socket(g *Guard, from string, claims *token.Claims) (*Socket, error) {
	server, client := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	conn := wsconn.New(slow{server}, func() {})
	s, err := g.Admit(request(from), Access, claims, conn)
	if err != nil {
		server.Close()
		client.Close()
		return nil, err
	}
	wsconn.NewResponse(conn).Attach(visit{s, client})
	_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	x.open = append(x.open, s)
	return s, nil
}

// A visit is a socket whose client disconnects together with the server.
type visit struct {
	*Socket
	client net.Conn
}

// Closed implements [wsconn.Owner].
func (v visit) Closed() {
	v.Socket.Closed()
	v.client.Close()
}

// request returns a request from an address.
func request(from string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.RemoteAddr = from
	return r
}

// A slow connection is half-closed but never closed by its peer, so that its
// end takes the maximum time.
type slow struct{ net.Conn }

func (slow) CloseWrite() error { return nil }

func (x *crowd) close(s *Socket) {
	if s.ender == nil {
		s.release()
		return
	}
	_ = s.ender.(*wsconn.Conn).Close()
}

func (x *crowd) step(rnd *rand.Rand) {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	g := x.guard
	if rnd.IntN(2) == 0 {
		g = x.derived
	}
	claims := func() *token.Claims {
		return &token.Claims{Subject: pick("ada", "bob"), SessionID: pick("", "s1", "s2", "s3"), ID: pick("", "t1", "t2"), ExpiresAt: time.Now().Add(time.Hour)}
	}
	from := pick("192.0.2.1:1", "192.0.2.2:1")
	ended := x.ended()
	var err error
	switch n := rnd.IntN(10); {
	case n < 4:
		_, err = x.socket(g, from, claims())
	case n < 5:
		_, err = x.socket(g, from, nil)
	case n < 6:
		s := g.newSocket(request(from), Access, claims())
		if err = Hold(s.Context()); err == nil {
			x.open = append(x.open, s)
		}
	case len(x.open) == 0:
	case n < 7:
		s := x.open[rnd.IntN(len(x.open))]
		if s.ender != nil && s.Claims() == nil {
			if err = s.replace(claims()); err != nil {
				err = nil // it ends this socket
				s.End(RateLimited)
			}
		}
	case n < 8:
		x.open[rnd.IntN(len(x.open))].End(SessionEnded)
	case n < 9:
		x.close(x.open[rnd.IntN(len(x.open))])
	default:
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
	}
	if err != nil && x.ended() != ended {
		panic("a refusal has ended sockets")
	}
	synctest.Wait()
}

func (x *crowd) ended() (n int) {
	for _, s := range x.open {
		if s.checkOpen() != nil {
			n++
		}
	}
	return n
}

// check compares the registry with the open sockets.
func (x *crowd) check(t *testing.T, when string) {
	t.Helper()
	r := x.guard.open.sockets
	r.mu.Lock()
	defer r.mu.Unlock()
	most := [nameKinds]int{bySession: r.limits.PerSession, bySubject: r.limits.PerSubject, byAddress: r.limits.PerAddress}
	var all anonymous
	networks := map[string]anonymous{}
	type name struct {
		kind nameKind
		name string
	}
	rings := map[name]ring{}
	for _, s := range x.open {
		if s.entry.leaving && s.end.Load() == nil {
			t.Errorf("%s: a socket that no longer counts has not ended", when)
		}
		if s.entry.anonymous {
			of := networks[s.entry.network]
			if s.end.Load() == nil {
				all.waiting, of.waiting = all.waiting+1, of.waiting+1
			} else {
				all.leaving, of.leaving = all.leaving+1, of.leaving+1
			}
			networks[s.entry.network] = of
		}
		for g, l := range s.entry.links {
			if l.next == nil {
				continue
			}
			of := rings[name{nameKind(g), l.name}]
			of.all++
			if s.end.Load() != nil {
				of.leaving++
			}
			rings[name{nameKind(g), l.name}] = of
		}
	}
	for n, want := range rings {
		have := r.rings[n.kind][n.name]
		if have.all != want.all || have.leaving != want.leaving {
			t.Errorf("%s: %v: %d of %d are leaving; want %d of %d", when, n, have.leaving, have.all, want.leaving, want.all)
		}
		if m := most[n.kind]; m > 0 && (want.staying() > m || want.all > 2*m) {
			t.Errorf("%s: %v: %d sockets, %d of them leaving, at a limit of %d", when, n, want.all, want.leaving, m)
		}
	}
	within := func(who string, have, want anonymous, most int) {
		t.Helper()
		if have != want || want.waiting > most || want.waiting+want.leaving > 2*most {
			t.Errorf("%s: anonymous sockets of %s: %+v; want %+v, at a limit of %d", when, who, have, want, most)
		}
	}
	within("everybody", r.anonymous.all, all, r.limits.Unauthenticated)
	for network, want := range networks {
		within(network, r.anonymous.networks[network], want, r.limits.UnauthenticatedPerAddress)
	}
}

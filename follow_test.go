package wsauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
)

// counter is a Follower that counts.
type counter struct {
	open   atomic.Int64
	reason atomic.Value
}

func (c *counter) Opened(*wsauth.Socket) { c.open.Add(1) }

func (c *counter) Ended(_ *wsauth.Socket, e *wsauth.EndError) {
	c.open.Add(-1)
	c.reason.Store(string(e.Reason))
}

// follow starts a request whose handler is followed until its context ends.
func follow(guard *wsauth.Guard, f wsauth.Follower, transfer wsauth.Transfer) (*stream, *wsauth.Socket) {
	s := &stream{over: make(chan struct{})}
	var socket *wsauth.Socket
	h := guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		socket = wsauth.Follow(r.Context(), f)
		socket.SetTransfer(transfer)
		<-r.Context().Done()
		s.cause = context.Cause(r.Context())
		close(s.over)
	}))
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Authorization", "Bearer x")
	go h.ServeHTTP(httptest.NewRecorder(), r)
	synctest.Wait()
	return s, socket
}

// followAfter is how long a request takes before it is followed.
const followAfter = time.Second

var transfers = []wsauth.Transfer{wsauth.Unanswered, wsauth.Bounded, wsauth.Endless}

// TestFollow checks that a request that takes longer than a second ends like a
// socket, unless its length is known.
func TestFollow(t *testing.T) {
	revoke := func(r store.Revocation) func(*testing.T, *wsauth.Guard) {
		return func(t *testing.T, g *wsauth.Guard) {
			r.Expires = time.Now().Add(time.Hour)
			if r.Target == store.TargetSubject || r.Target == store.TargetAll {
				r.Before = time.Now()
			}
			if n, err := g.Revoke(context.Background(), r); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	}
	drain := func(t *testing.T, g *wsauth.Guard) {
		if err := g.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	}
	const none = wsauth.Reason("")
	for name, c := range map[string]struct {
		end  func(*testing.T, *wsauth.Guard)
		want [3]wsauth.Reason // by transfer
	}{
		"expiry":     {func(*testing.T, *wsauth.Guard) { time.Sleep(time.Minute) }, [...]wsauth.Reason{wsauth.TokenExpired, none, wsauth.TokenExpired}},
		"session":    {revoke(store.Revocation{Target: store.TargetSession, ID: "s1"}), [...]wsauth.Reason{wsauth.SessionEnded, wsauth.SessionEnded, wsauth.SessionEnded}},
		"user":       {revoke(store.Revocation{Target: store.TargetSubject, ID: "ada"}), [...]wsauth.Reason{wsauth.SessionEnded, wsauth.SessionEnded, wsauth.SessionEnded}},
		"everything": {revoke(store.Revocation{Target: store.TargetAll}), [...]wsauth.Reason{wsauth.SessionEnded, wsauth.SessionEnded, wsauth.SessionEnded}},
		"drain":      {drain, [...]wsauth.Reason{none, none, wsauth.Restarting}},
	} {
		for _, transfer := range transfers {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Revocations: memory.New(store.Limits{})}))
					defer g.Shutdown(context.Background()) //nolint:errcheck // A request may be open.
					seen := &counter{}
					s, socket := follow(g, seen, transfer)
					defer socket.End(wsauth.SessionEnded)
					if n := seen.open.Load(); n != 0 || socket.Followed() {
						t.Errorf("%d are followed at once", n)
					}
					time.Sleep(followAfter)
					synctest.Wait()
					if n, counts := seen.open.Load(), g.Stats(); n != 1 || counts.Requests != 1 || counts.Sockets != 0 || len(slices.Collect(g.Sockets(wsauth.Filter{Subject: "ada"}))) != 1 {
						t.Errorf("%d are followed, %+v", n, counts)
					}
					c.end(t, g)
					synctest.Wait()
					want := c.want[transfer]
					if want == none {
						if s.done() {
							t.Fatalf("ended with %v", s.cause)
						}
						return
					}
					s.want(t, want)
					if n, reason := seen.open.Load(), seen.reason.Load(); n != 0 || reason != string(want) || g.Stats().Requests != 0 {
						t.Errorf("%d are followed, the last one until %v", n, reason)
					}
				})
			})
		}
	}
}

// TestFollowRevokedBefore checks that a request revoked in its first second
// ends after that second.
func TestFollowRevokedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Revocations: memory.New(store.Limits{})}))
		defer g.Shutdown(context.Background()) //nolint:errcheck // It does not wait for requests.
		s, _ := follow(g, nil, wsauth.Bounded)
		begun := time.Now()
		if _, err := g.Revoke(context.Background(), store.Revocation{Target: store.TargetSession, ID: "s1", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		<-s.over
		s.want(t, wsauth.TokenRevoked)
		if took := time.Since(begun); took != followAfter {
			t.Errorf("after %v", took)
		}
	})
}

// TestFollowRenewed checks that a refresh keeps the request open, and that
// SetTransfer decides whether a request ends when its token has expired.
func TestFollowRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}}))
		s, socket := follow(g, nil, wsauth.Unanswered)
		renew := func() {
			t.Helper()
			if n, err := g.Renew(context.Background(), "y"); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		time.Sleep(40 * time.Second)
		renew()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if s.done() {
			t.Fatal("ended although it was renewed")
		}
		socket.SetTransfer(wsauth.Bounded)
		time.Sleep(time.Minute) // its token has expired
		renew()
		socket.SetTransfer(wsauth.Endless)
		synctest.Wait()
		if s.done() {
			t.Fatal("ended although it was renewed after the expiry")
		}
		socket.SetTransfer(wsauth.Bounded)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s.done() {
			t.Fatal("ended although its length is known")
		}
		socket.SetTransfer(wsauth.Unanswered) // an upload that is complete
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.done() {
			t.Fatal("ended before it could be answered")
		}
		socket.SetTransfer(wsauth.Endless)
		s.want(t, wsauth.TokenExpired)
	})
}

// TestFollowCountsApart checks that followed requests do not count against the
// limits: they cause no socket to be evicted or refused.
func TestFollowCountsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Limits: wsauth.Limits{PerSubject: 1, PerSession: 1, PerAddress: 1}}))
		defer g.Shutdown(context.Background()) //nolint:errcheck // It does not wait for requests.
		held := hold(g)
		for range 5 {
			_, socket := follow(g, nil, wsauth.Endless)
			defer socket.End(wsauth.SessionEnded)
		}
		time.Sleep(followAfter)
		synctest.Wait()
		if held.done() || g.Stats().Requests != 5 || g.Stats().Sockets != 1 {
			t.Errorf("%v, %+v", held.done(), g.Stats())
		}
		var numbers []uint64
		for s := range g.Sockets(wsauth.Filter{All: true}) {
			numbers = append(numbers, s.ID())
		}
		if len(numbers) != 6 {
			t.Errorf("%d", numbers)
		}
	})
}

// TestSocketsAndRequestsInOrder checks that interleaved sockets and requests
// are all found, once and in order.
func TestSocketsAndRequestsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}}))
		defer g.Shutdown(context.Background()) //nolint:errcheck // It does not wait for requests.
		const each = 700                       // several chunks of each
		for i := range each {
			if i%7 == 0 {
				hold(g)
			}
			_, socket := follow(g, nil, wsauth.Unanswered)
			defer socket.End(wsauth.SessionEnded)
			if i%100 == 0 {
				time.Sleep(2 * followAfter)
			}
			hold(g)
		}
		time.Sleep(2 * followAfter)
		synctest.Wait()
		var last uint64
		n := 0
		for s := range g.Sockets(wsauth.Filter{All: true}) {
			if s.ID() <= last {
				t.Fatalf("%d after %d", s.ID(), last)
			}
			last = s.ID()
			n++
		}
		if want := 2*each + each/7; n != want {
			t.Errorf("%d, want %d", n, want)
		}
	})
}

// TestFollowAnonymous checks that a client without a token is not followed.
func TestFollowAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}}))
		over := make(chan struct{})
		h := g.Require(wsauth.Optional)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			socket := wsauth.Follow(r.Context(), nil)
			time.Sleep(time.Hour)
			if err := r.Context().Err(); err != nil || socket != nil || g.Stats().Requests != 0 {
				t.Errorf("%v, %v, %+v", socket, err, g.Stats())
			}
			close(over)
		}))
		go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		<-over
	})
}

// TestFollowCosts checks that a request shorter than a second costs one timer,
// and leaves nothing behind.
func TestFollowCosts(t *testing.T) {
	g := must(wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour)}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	cost := func(follows bool) float64 {
		h := g.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if follows {
				wsauth.Follow(r.Context(), nil)
			}
		}))
		w := httptest.NewRecorder()
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
	}
	if more := cost(true) - cost(false); more > 3 { // the timer, what it calls, and its state
		t.Errorf("%v allocations more", more)
	}
	if counts := g.Stats(); counts.Requests != 0 {
		t.Errorf("%+v", counts)
	}
}

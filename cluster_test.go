package wsauth

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A cluster consists of guards on one store, with the same keys.
type cluster struct {
	store  *memory.Store
	nodes  [3]*Guard
	issuer *token.Issuer
}

// newCluster returns a cluster. The change applies to the guard of each node.
func newCluster(t *testing.T, change func(node int, c *Config)) *cluster {
	t.Helper()
	n := &cluster{store: memory.New(store.Limits{})}
	var verifier Verifier
	for i := range n.nodes {
		guard, issuer := newAdmitGuard(t, func(c *Config) {
			if i == 0 {
				verifier = c.Verifier
			}
			c.Verifier, c.Revocations = verifier, n.store
			if change != nil {
				change(i, c)
			}
		})
		if n.nodes[i] = guard; i == 0 {
			n.issuer = issuer
		}
	}
	return n
}

// open opens a socket of a route that requires access tokens on a node.
func (n *cluster) open(t *testing.T, node int, raw string) (*Socket, *endings) {
	t.Helper()
	return n.openFor(t, node, Access, raw)
}

// openFor is like open, for a route with the requirement q.
func (n *cluster) openFor(t *testing.T, node int, q Requirement, raw string) (*Socket, *endings) {
	t.Helper()
	r := handshake(raw)
	claims, err := n.nodes[node].Check(r, q)
	if err != nil {
		t.Fatal(err)
	}
	end := new(endings)
	s, err := n.nodes[node].Admit(r, q, claims, end)
	if err != nil {
		t.Fatal(err)
	}
	s.Opened()
	t.Cleanup(s.Closed)
	return s, end
}

// inCluster runs a test with a cluster in a bubble.
func inCluster(t *testing.T, change func(node int, c *Config), test func(t *testing.T, n *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newCluster(t, change)) })
}

// renewed counts the calls of Observer.Renewed.
type renewed struct {
	noObserver
	sockets chan *Socket
}

func (r renewed) Renewed(s *Socket) { r.sockets <- s }

// TestD15_RenewalOnAnotherNode checks that a renewal on one node extends the
// sockets of the session on the others, once, and no other sockets.
func TestD15_RenewalOnAnotherNode(t *testing.T) {
	observed := renewed{sockets: make(chan *Socket, 100)}
	inCluster(t, func(_ int, c *Config) { c.Observer = observed }, func(t *testing.T, n *cluster) {
		first := issue(t, n.issuer, token.Options{SessionID: "s1", TTL: time.Minute})
		var sockets []*Socket
		for node := range n.nodes {
			s, _ := n.open(t, node, first)
			sockets = append(sockets, s)
		}
		other, otherEnd := n.open(t, 1, issue(t, n.issuer, token.Options{SessionID: "s2", TTL: time.Minute}))
		time.Sleep(50 * time.Second)
		second := issue(t, n.issuer, token.Options{SessionID: "s1", Generation: 1, TTL: time.Minute})
		if count, err := n.nodes[0].Renew(t.Context(), second); err != nil || count != 1 {
			t.Fatalf("renewed %d, %v, want the one of this node", count, err)
		}
		time.Sleep(50 * time.Second)
		for node, s := range sockets {
			if s.Err() != nil || s.Claims().Generation != 1 {
				t.Errorf("node %d: %v with generation %d, want an open socket with generation 1", node, s.Err(), s.Claims().Generation)
			}
		}
		if len(observed.sockets) != len(sockets) {
			t.Errorf("%d renewals were observed, want %d", len(observed.sockets), len(sockets))
		}
		if other.Err() == nil || len(otherEnd.causes) != 1 {
			t.Errorf("a socket of another session lives on: %v", other.Err())
		}
		time.Sleep(time.Minute)
		for node, s := range sockets {
			if !errors.Is(s.Err(), TokenExpired) {
				t.Errorf("node %d: ended by %v, want %v", node, s.Err(), TokenExpired)
			}
		}
	})
}

// TestD15_StepUpOnAnotherNode checks that a fresh token wakes a handler that
// waits for one on another node.
func TestD15_StepUpOnAnotherNode(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, n *cluster) {
		s, _ := n.open(t, 2, issue(t, n.issuer, token.Options{SessionID: "s1"}))
		waited := make(chan error, 1)
		go func() { waited <- s.RequireFresh(t.Context()) }()
		synctest.Wait()
		if _, err := n.nodes[0].Renew(t.Context(), issue(t, n.issuer, token.Options{SessionID: "s1", Fresh: true})); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Errorf("RequireFresh: %v", err)
		}
	})
}

// TestD15_RoleChangeOnAnotherNode checks that Config.Authorize of another node
// decides about the new claims. A slow Authorize delays neither revocations nor
// other sessions.
func TestD15_RoleChangeOnAnotherNode(t *testing.T) {
	release := make(chan struct{})
	inCluster(t, func(_ int, c *Config) {
		c.Authorize = func(r *http.Request, claims *token.Claims) error {
			if claims.SessionID == "slow" && claims.Generation > 0 {
				<-release
			}
			if claims.SessionID == "denied" && claims.Generation > 0 {
				return errors.New("no longer a member")
			}
			return nil
		}
	}, func(t *testing.T, n *cluster) {
		release = make(chan struct{})
		open := map[string]*Socket{}
		for _, sid := range []string{"slow", "denied", "quick", "revoked"} {
			open[sid], _ = n.open(t, 1, issue(t, n.issuer, token.Options{SessionID: sid}))
		}
		for _, sid := range []string{"slow", "denied", "quick"} {
			if _, err := n.nodes[0].Renew(t.Context(), issue(t, n.issuer, token.Options{SessionID: sid, Generation: 1})); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.nodes[0].RevokeSession(t.Context(), "revoked"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for sid, want := range map[string]uint64{"slow": 0, "denied": 0, "quick": 1} {
			if got := open[sid].Claims().Generation; got != want {
				t.Errorf("%s: generation %d, want %d", sid, got, want)
			}
		}
		if !errors.Is(open["revoked"].Err(), SessionEnded) {
			t.Errorf("ended by %v, want %v", open["revoked"].Err(), SessionEnded)
		}
		close(release)
		synctest.Wait()
		if got := open["slow"].Claims().Generation; got != 1 {
			t.Errorf("slow: generation %d after the rule has answered, want 1", got)
		}
	})
}

// TestOlderTokensOfASession checks that a revocation of the older tokens of a
// session ends the access tokens of lower generations on all nodes, and the
// sockets that were not renewed.
func TestOlderTokensOfASession(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, n *cluster) {
		old := issue(t, n.issuer, token.Options{SessionID: "s1", Generation: 3})
		kept, _ := n.open(t, 1, old)
		left, _ := n.openFor(t, 2, Fresh, issue(t, n.issuer, token.Options{SessionID: "s1", Generation: 2, Fresh: true}))
		narrowed := issue(t, n.issuer, token.Options{SessionID: "s1", Generation: 4})
		if _, err := n.nodes[0].Renew(t.Context(), narrowed); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := n.nodes[0].Revoke(t.Context(), store.Revocation{Target: store.TargetOlder, ID: "s1", Generation: 4}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if kept.Err() != nil || kept.Claims().Generation != 4 {
			t.Errorf("%v with generation %d, want an open socket with generation 4", kept.Err(), kept.Claims().Generation)
		}
		if left.Err() == nil {
			t.Error("a socket that could not be renewed is still open")
		}
		for node, g := range n.nodes {
			if _, err := g.Check(handshake(old), Access); !errors.Is(err, TokenRevoked) {
				t.Errorf("node %d: the old token: %v, want %v", node, err, TokenRevoked)
			}
			if _, err := g.Check(handshake(narrowed), Access); err != nil {
				t.Errorf("node %d: the new token: %v", node, err)
			}
		}
	})
}

// TestRenewalByGeneration checks that generations order the tokens of a
// session, even if the clocks of the nodes that issued them differ.
func TestRenewalByGeneration(t *testing.T) {
	for name, tt := range map[string]struct {
		old, next uint64
		behind    time.Duration // of the clock that dates the next token
		renews    bool
	}{
		"newer":                     {1, 2, 0, true},
		"newer, clock behind":       {1, 2, time.Hour, true},
		"first, clock behind":       {0, 1, time.Hour, true},
		"older":                     {2, 1, 0, false},
		"without one":               {2, 0, 0, false},
		"same, clock slightly late": {2, 2, 0, true},
		"same, clock behind":        {2, 2, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, nil, func(t *testing.T, n *cluster) {
				now := time.Now()
				s, _ := n.open(t, 0, issue(t, n.issuer, token.Options{SessionID: "s1", Generation: tt.old, TTL: 2 * time.Hour}))
				next := issue(t, n.issuer, token.Options{SessionID: "s1", Generation: tt.next, IssuedAt: now.Add(-tt.behind), TTL: 2 * time.Hour})
				count, err := n.nodes[0].Renew(t.Context(), next)
				if err != nil || (count == 1) != tt.renews {
					t.Errorf("renewed %d, %v, want it renewed: %t", count, err, tt.renews)
				}
				if s.Err() != nil {
					t.Errorf("ended by %v", s.Err())
				}
			})
		})
	}
}

// TestStrangeEvents checks that events of unknown kinds, and those whose data
// are not claims of their session, are ignored.
func TestStrangeEvents(t *testing.T) {
	var others []store.Event
	inCluster(t, func(node int, c *Config) {
		if node == 0 {
			c.OnEvent = func(e store.Event) { others = append(others, e) }
		}
	}, func(t *testing.T, n *cluster) {
		raw := issue(t, n.issuer, token.Options{SessionID: "s1", TTL: time.Hour})
		s, _ := n.open(t, 0, raw)
		claims := *s.Claims()
		claims.ID, claims.SessionID, claims.Generation = "j", "s2", 9
		foreign, err := claims.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		claims.SessionID, claims.Subject = "s1", "eve"
		other, err := claims.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		expires := time.Now().Add(time.Minute)
		for i, data := range [][]byte{nil, []byte("{}"), foreign, other} {
			if err := n.store.Publish(t.Context(), store.Event{Kind: eventRenewed, ID: "s1", Data: data, Expires: expires}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s.Err() != nil || s.Claims().Generation != 0 || s.Claims().Subject != "ada" {
				t.Errorf("event %d: %v, %v", i, s.Err(), s.Claims())
			}
		}
		if err := n.store.Publish(t.Context(), store.Event{Kind: "of the future", ID: "s1", Data: []byte{0xff}, Expires: expires}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.nodes[1].RevokeSession(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(s.Err(), SessionEnded) {
			t.Errorf("ended by %v, want %v", s.Err(), SessionEnded)
		}
		if len(others) != 1 || others[0].Kind != "of the future" {
			t.Errorf("OnEvent got %v, want the one of an unknown kind", others)
		}
	})
}

// A mute is a log that refuses events.
type mute struct{ *memory.Store }

var errMute = errors.New("no events today")

func (mute) Publish(context.Context, ...store.Event) error { return errMute }

// TestRenewalThatCannotBePublished checks that if the log refuses the event,
// the sockets of the node are renewed, and Renew returns an error.
func TestRenewalThatCannotBePublished(t *testing.T) {
	inCluster(t, func(_ int, c *Config) { c.Revocations = mute{c.Revocations.(*memory.Store)} }, func(t *testing.T, n *cluster) {
		s, _ := n.open(t, 0, issue(t, n.issuer, token.Options{SessionID: "s1"}))
		count, err := n.nodes[0].Renew(t.Context(), issue(t, n.issuer, token.Options{SessionID: "s1", Generation: 1}))
		if count != 1 || !errors.Is(err, StoreUnavailable) || !errors.Is(err, errMute) || s.Claims().Generation != 1 {
			t.Errorf("renewed %d, %v, generation %d", count, err, s.Claims().Generation)
		}
	})
}

// An unconfirmedStore has replicas that do not confirm revocations.
type unconfirmedStore struct{ *memory.Store }

func (s unconfirmedStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	return errors.Join(s.Store.Revoke(ctx, r...), store.ErrUnconfirmed)
}

// TestRevokeUnconfirmed checks that a revocation that no replica has confirmed
// is in effect on all nodes, and that the node does not hold it to write it
// again.
func TestRevokeUnconfirmed(t *testing.T) {
	unconfirmed := func(_ int, c *Config) { c.Revocations = unconfirmedStore{c.Revocations.(*memory.Store)} }
	inCluster(t, unconfirmed, func(t *testing.T, n *cluster) {
		raw := issue(t, n.issuer, token.Options{SessionID: "s1"})
		here, _ := n.open(t, 0, raw)
		there, _ := n.open(t, 1, raw)
		count, err := n.nodes[0].RevokeSession(t.Context(), "s1")
		if count != 1 || !errors.Is(err, store.ErrUnconfirmed) || errors.Is(err, store.ErrNotDurable) {
			t.Errorf("ended %d sockets, %v, want one and %v", count, err, store.ErrUnconfirmed)
		}
		synctest.Wait()
		if !errors.Is(here.Err(), SessionEnded) || !errors.Is(there.Err(), SessionEnded) || n.nodes[0].Stats().Held != 0 {
			t.Errorf("ended by %v and %v, %d are held", here.Err(), there.Err(), n.nodes[0].Stats().Held)
		}
	})
}

// TestD10_ClockOfANode checks that a node whose clock differs from that of the
// store by half a minute, in either direction, refuses all tokens, and accepts
// them again when the clocks agree.
func TestD10_ClockOfANode(t *testing.T) {
	log := &failingLog{}
	inCluster(t, func(node int, c *Config) {
		if node == 0 {
			log.Store = c.Revocations.(*memory.Store)
			c.Revocations = log
		}
	}, func(t *testing.T, n *cluster) {
		raw := issue(t, n.issuer, token.Options{SessionID: "s1"})
		for _, tt := range []struct {
			ahead   time.Duration
			refuses bool
		}{
			{0, false}, {29 * time.Second, false}, {-29 * time.Second, false}, {31 * time.Second, true}, {0, false}, {-31 * time.Second, true}, {0, false},
		} {
			log.ahead.Store(int64(tt.ahead))
			time.Sleep(15 * time.Second)
			_, err := n.nodes[0].Check(handshake(raw), Access)
			if errors.Is(err, StoreUnavailable) != tt.refuses || (err != nil) != tt.refuses {
				t.Errorf("store ahead by %v: %v, want it refused: %t", tt.ahead, err, tt.refuses)
			}
			if ready := n.nodes[0].Ready(); (ready != nil) != tt.refuses {
				t.Errorf("store ahead by %v: ready: %v", tt.ahead, ready)
			}
			if _, err := n.nodes[1].Check(handshake(raw), Access); err != nil {
				t.Errorf("another node: %v", err)
			}
		}
	})
}

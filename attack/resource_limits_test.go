package attack

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestConnectionLimits checks that a socket above a limit is refused or ends
// the oldest socket, and that a socket that has ended no longer counts (R2).
func TestConnectionLimits(t *testing.T) {
	user := func(subject, sid string) func(*testing.T) *token.Token {
		return func(t *testing.T) *token.Token { return login(t, subject, sid, token.Options{}) }
	}
	for name, c := range map[string]struct {
		limits wsauth.Limits
		fill   []func(*testing.T) *token.Token
		over   func(*testing.T) *token.Token
		others func(*testing.T) *token.Token // makes a token that is still admitted; nil if there is none
	}{
		"R2/subject": {wsauth.Limits{PerSubject: 2}, []func(*testing.T) *token.Token{user("alice", "s1"), user("alice", "s2")}, user("alice", "s3"), user("bob", "s4")},
		"R2/session": {wsauth.Limits{PerSession: 2}, []func(*testing.T) *token.Token{user("alice", "s1"), user("alice", "s1")}, user("alice", "s1"), user("alice", "s2")},
		"R2/address": {wsauth.Limits{PerAddress: 2}, []func(*testing.T) *token.Token{user("alice", "s1"), user("bob", "s2")}, user("carol", "s3"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() wsauth.Config { return wsauth.Config{Limits: c.limits} }, func(t *testing.T, x *bubble) {
				var open []*client
				for _, make := range c.fill {
					open = append(open, x.openWith(t, make(t)))
				}
				over := c.over(t)
				x.takeRequests()
				x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(over.Raw))), wsauth.RateLimited, pieces(over.Raw)...)
				for _, socket := range open {
					socket.wantOpen(t)
				}
				if c.others != nil {
					x.openWith(t, c.others(t))
				}
				open[0].serverEnd.End(wsauth.SessionEnded)
				open[0].wantEnd(t, wsauth.SessionEnded)
				x.openWith(t, over).wantOpen(t)
			})
		})
		t.Run(name+"/oldest", func(t *testing.T) {
			limits := c.limits
			limits.WhenFull = wsauth.EndOldest
			inBubble(t, func() wsauth.Config { return wsauth.Config{Limits: limits} }, func(t *testing.T, x *bubble) {
				var open []*client
				for _, make := range slices.Concat(c.fill, []func(*testing.T) *token.Token{c.over, c.over}) {
					open = append(open, x.openWith(t, make(t)))
				}
				open[0].wantEnd(t, wsauth.ConnectionLimit)
				open[1].wantEnd(t, wsauth.ConnectionLimit)
				open[2].wantOpen(t)
				open[3].wantOpen(t)
			})
		})
	}
}

// TestOneEvictionForSeveralLimits checks that a new socket that exceeds two
// limits evicts only one socket, if ending that one satisfies both limits.
func TestOneEvictionForSeveralLimits(t *testing.T) {
	inBubble(t, func() wsauth.Config {
		return wsauth.Config{Limits: wsauth.Limits{PerSubject: 2, PerSession: 1, WhenFull: wsauth.EndOldest}}
	}, func(t *testing.T, x *bubble) {
		oldest := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		other := x.openWith(t, login(t, "alice", "s2", token.Options{}))
		newest := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		oldest.wantEnd(t, wsauth.ConnectionLimit)
		other.wantOpen(t)
		newest.wantOpen(t)
		if open := slices.Collect(x.guard.Sockets(wsauth.Filter{Subject: "alice"})); !slices.Equal(open, []*wsauth.Socket{other.serverEnd, newest.serverEnd}) {
			t.Errorf("%d sockets of alice are left", len(open))
		}
	})
}

// TestAnonymousSocketsEvictNone checks that sockets of anonymous clients are
// refused at a limit and never evict authenticated ones.
func TestAnonymousSocketsEvictNone(t *testing.T) {
	inBubble(t, func() wsauth.Config {
		return wsauth.Config{
			Limits:     wsauth.Limits{PerAddress: 3, WhenFull: wsauth.EndOldest},
			Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.FirstMessage{}},
		}
	}, func(t *testing.T, x *bubble) {
		var open []*client
		for range 3 {
			open = append(open, x.openWith(t, login(t, "alice", "s1", token.Options{})))
		}
		x.takeRequests()
		for _, path := range []string{"/access", "/optional"} {
			x.wantRefusal(t, x.ask(t, "", upgrade(path)), wsauth.RateLimited)
		}
		for _, socket := range open {
			socket.wantOpen(t)
		}
	})
}

// TestEvictedSocketsCount checks that clients that do not hang up when they are
// evicted cannot keep more connections than twice the limit.
func TestEvictedSocketsCount(t *testing.T) {
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Limits: wsauth.Limits{PerSubject: 2, WhenFull: wsauth.EndOldest}})
	made := login(t, "alice", "s1", token.Options{})
	var open, refused int
	for range 20 {
		a := x.send(t, upgrade("/access", bearer(made.Raw)))
		switch a.StatusCode {
		case http.StatusSwitchingProtocols:
			open++
		case http.StatusTooManyRequests:
			refused++
		}
	}
	if open != 4 || refused != 16 {
		t.Errorf("%d opened, %d refused", open, refused)
	}
	if n := len(slices.Collect(x.guard.Sockets(wsauth.Filter{Subject: "alice"}))); n != 2 {
		t.Errorf("%d sockets were not evicted", n)
	}
}

// TestHugeLimits checks that the largest integer does not overflow as a limit.
// Some applications use it to mean no limit.
func TestHugeLimits(t *testing.T) {
	const maxLimit = math.MaxInt
	for refusalName, refusal := range map[string]wsauth.Refusal{"http": wsauth.RefuseHTTP, "close": wsauth.RefuseClose} {
		t.Run(refusalName, func(t *testing.T) {
			inMessageBubble(t, "coder", func() wsauth.Config {
				c := firstMessageConfig()
				c.Extractors = append(c.Extractors, wsauth.Header{})
				c.Refusal = refusal
				c.Limits = wsauth.Limits{
					PerSubject: maxLimit, PerSession: maxLimit, PerAddress: maxLimit, WhenFull: wsauth.EndOldest,
					HandshakesPerMinute: maxLimit, Unauthenticated: maxLimit, UnauthenticatedPerAddress: maxLimit,
				}
				return c
			}, func(t *testing.T, x *bubble) {
				for range 3 {
					waiting := x.dialSocket(t, anna, "/access")
					socket := x.ask(t, anna, upgrade("/access", fromOurs, bearer(login(t, "alice", "s1", token.Options{}).Raw)))
					if socket.StatusCode != http.StatusSwitchingProtocols {
						t.Errorf("with a token: %s", socket.Status)
					}
					socket.conn.Close()
					waiting.hangUp()
				}
			})
		})
	}
}

// TestHandshakeRate checks that the handshakes of an address are limited before
// any other check, and that plain requests are not.
func TestHandshakeRate(t *testing.T) {
	inBubble(t, func() wsauth.Config { return wsauth.Config{Limits: wsauth.Limits{HandshakesPerMinute: 3}} }, func(t *testing.T, x *bubble) {
		good := access(t)
		for range 3 {
			x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer("x"))), wsauth.TokenInvalid)
		}
		x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(good))), wsauth.RateLimited, pieces(good)...)
		x.wantSuccess(t, x.ask(t, "", plain("GET", "/access", bearer(good))))
		time.Sleep(20 * time.Second)
		x.open(t, "/access", bearer(good)).wantOpen(t)
		x.takeRequests()
		x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(good))), wsauth.RateLimited)
	})
}

// TestShutdownIsSpread checks that Shutdown ends one socket per millisecond or,
// if its time is short, all of them within half of it.
func TestShutdownIsSpread(t *testing.T) {
	const n = 200
	for name, c := range map[string]struct{ within, want time.Duration }{
		"no deadline":      {0, (n - 1) * time.Millisecond},
		"a long deadline":  {time.Minute, (n - 1) * time.Millisecond},
		"a short deadline": {100 * time.Millisecond, (n - 1) * 50 * time.Millisecond / n},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() wsauth.Config { return wsauth.Config{} }, func(t *testing.T, x *bubble) {
				made := login(t, "alice", "s1", token.Options{})
				var open []*client
				for range n {
					open = append(open, x.openWith(t, made))
				}
				ctx := context.Background()
				if c.within > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.within)
					defer cancel()
				}
				started := time.Now()
				if err := x.guard.Shutdown(ctx); err != nil {
					t.Fatal(err)
				}
				last := started
				for i, socket := range open {
					socket.wantEnd(t, wsauth.Restarting)
					if want := started.Add(c.want * time.Duration(i) / (n - 1)); socket.ended.Sub(want).Abs() > time.Millisecond {
						t.Fatalf("socket %d ended after %v, want %v", i, socket.ended.Sub(started), want.Sub(started))
					}
					last = socket.ended
				}
				if last.Equal(started) {
					t.Error("all sockets ended at once")
				}
				x.takeRequests()
				x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(made.Raw))), wsauth.Restarting)
			})
		})
	}
}

// TestShutdownOutOfTime checks that Shutdown ends all sockets at once if it
// has no time left.
func TestShutdownOutOfTime(t *testing.T) {
	inBubble(t, func() wsauth.Config { return wsauth.Config{} }, func(t *testing.T, x *bubble) {
		var open []*client
		for range 50 {
			open = append(open, x.openWith(t, login(t, "alice", "s1", token.Options{})))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		started := time.Now()
		if err := x.guard.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for _, socket := range open {
			socket.wantEnd(t, wsauth.Restarting)
			if !socket.ended.Equal(started) {
				t.Fatalf("ended after %v", socket.ended.Sub(started))
			}
		}
	})
}

// TestLimitsAreChecked checks that New refuses invalid limits, and names them.
func TestLimitsAreChecked(t *testing.T) {
	for _, c := range []struct {
		config wsauth.Config
		fault  string
	}{
		{wsauth.Config{Limits: wsauth.Limits{PerSubject: -1}}, "Limits.PerSubject: -1"},
		{wsauth.Config{Limits: wsauth.Limits{PerSession: -1}}, "Limits.PerSession: -1"},
		{wsauth.Config{Limits: wsauth.Limits{PerAddress: -1}}, "Limits.PerAddress: -1"},
		{wsauth.Config{Limits: wsauth.Limits{HandshakesPerMinute: -1}}, "Limits.HandshakesPerMinute: -1"},
		{wsauth.Config{Limits: wsauth.Limits{Unauthenticated: -1}}, "Limits.Unauthenticated: -1"},
		{wsauth.Config{Limits: wsauth.Limits{UnauthenticatedPerAddress: -1}}, "Limits.UnauthenticatedPerAddress: -1"},
		{wsauth.Config{Limits: wsauth.Limits{WhenFull: 3}}, "Limits.WhenFull: 3"},
		{wsauth.Config{Staleness: time.Second}, "Staleness: 1s"},
		{wsauth.Config{Extractors: []wsauth.Extractor{wsauth.Ticket{}}}, "Tickets: required by Extractors[0]"},
		{wsauth.Config{Extractors: []wsauth.Extractor{&wsauth.Ticket{}}}, "Tickets: required by Extractors[0]"},
		{wsauth.Config{Extractors: []wsauth.Extractor{&wsauth.FirstMessage{}, wsauth.FirstMessage{Timeout: time.Second}}}, "Extractors[1]: a second FirstMessage"},
		{wsauth.Config{Extractors: []wsauth.Extractor{wsauth.FirstMessage{}, wsauth.FirstMessage{Timeout: time.Second}}}, "Extractors[1]: a second FirstMessage"},
		{wsauth.Config{Extractors: []wsauth.Extractor{wsauth.FirstMessage{Timeout: time.Hour}}}, "Extractors[0]: FirstMessage: Timeout"},
		{wsauth.Config{Extractors: []wsauth.Extractor{wsauth.Subprotocol{Name: "a", Prefix: "b."}}}, "Extractors[0]: Subprotocol: "},
	} {
		c.config.Verifier = newVerifier(t, 0)
		if _, err := wsauth.New(c.config); err == nil || !strings.HasPrefix(err.Error(), "wsauth: Config."+c.fault) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want a fault of %s", err, c.fault)
		}
	}
}

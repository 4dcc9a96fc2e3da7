package attack

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/token"
)

// A naiveClient reconnects after every end, whatever the reason. Its delay
// doubles from 250 ms to 30 s, and starts again at 250 ms when a socket opens.
type naiveClient struct {
	from      string
	handshake string
}

// connect runs the client until the given time. It returns the number of
// connections.
func (n naiveClient) connect(t *testing.T, x *bubble, until time.Time) (times int) {
	wait := 250 * time.Millisecond
	for time.Now().Before(until) {
		times++
		a := x.ask(t, n.from, n.handshake)
		if a.StatusCode == http.StatusSwitchingProtocols {
			wait = 250 * time.Millisecond
			c := socketOf(t, a)
			_ = c.Conn.SetReadDeadline(until)
			_, _, _ = c.ReadClose()
		}
		a.conn.Close()
		time.Sleep(wait)
		wait = min(2*wait, 30*time.Second)
	}
	return times
}

// TestLimitCausesNoStorm checks that eight naive clients of one user, who may
// have five sockets, reconnect only a few times, whichever of them are refused
// or evicted. A refusal by a close frame opens a socket, which resets the delay
// of the client. Therefore the guard must delay the refusal itself.
func TestLimitCausesNoStorm(t *testing.T) {
	for name, c := range map[string]struct {
		full    wsauth.WhenFull
		refusal wsauth.Refusal
	}{
		"end_oldest/http":  {wsauth.EndOldest, wsauth.RefuseHTTP},
		"end_oldest/close": {wsauth.EndOldest, wsauth.RefuseClose},
		"refuse/http":      {wsauth.RefuseNew, wsauth.RefuseHTTP},
		"refuse/close":     {wsauth.RefuseNew, wsauth.RefuseClose},
	} {
		for limit, limits := range map[string]wsauth.Limits{
			"subject": {PerSubject: 5}, "session": {PerSession: 5}, "address": {PerAddress: 5},
		} {
			t.Run(name+"/"+limit, func(t *testing.T) {
				config := slotConfig(100, 100, c.refusal)
				inMessageBubble(t, "coder", func() wsauth.Config {
					all := config()
					all.Limits = limits
					all.Limits.WhenFull = c.full
					return all
				}, func(t *testing.T, x *bubble) {
					hello := upgrade("/access", fromOurs, bearer(login(t, "ada", "s1", token.Options{TTL: time.Hour}).Raw))
					until := time.Now().Add(10 * time.Second)
					var times atomic.Int64
					var clients sync.WaitGroup
					for range 8 {
						clients.Go(func() { times.Add(int64(naiveClient{from: anna, handshake: hello}.connect(t, x, until))) })
					}
					clients.Wait()
					if again := times.Load() - 8; again < 1 || again > 20 {
						t.Errorf("%d reconnections in 10 s", again)
					}
					time.Sleep(10 * time.Second) // wait until no refused socket is held open
				})
			})
		}
	}
}

// TestRefusedTokenCausesNoStorm checks that a naive client with an invalid
// token gets its first refusals at once, since it could fetch another token,
// and later ones with a delay. Refusals of other clients are not delayed.
func TestRefusedTokenCausesNoStorm(t *testing.T) {
	inMessageBubble(t, "coder", slotConfig(100, 100, wsauth.RefuseClose), func(t *testing.T, x *bubble) {
		hello := upgrade("/access", fromOurs, bearer("x"))
		times := naiveClient{from: anna, handshake: hello}.connect(t, x, time.Now().Add(30*time.Second))
		if times < 5 || times > 30 {
			t.Errorf("%d connections in 30 s", times)
		}
		started := time.Now()
		socketOf(t, x.ask(t, ben, hello)).wantClose(t, wsauth.TokenInvalid)
		if d := time.Since(started); d != 0 {
			t.Errorf("another client was refused after %v, want no delay", d)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestRefusedSocketHeldOpen checks that a refused socket that is held open
// frees its slot when its client hangs up, reads a limited number of bytes, and
// does not delay Shutdown.
func TestRefusedSocketHeldOpen(t *testing.T) {
	config := func() wsauth.Config {
		c := slotConfig(100, 2, wsauth.RefuseClose)()
		c.Limits.PerSubject = 1
		return c
	}
	hello := func(t *testing.T) string {
		return upgrade("/access", fromOurs, bearer(login(t, "ada", "s1", token.Options{TTL: time.Hour}).Raw))
	}
	t.Run("to the end", func(t *testing.T) {
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			authenticated := socketOf(t, x.ask(t, anna, hello(t)))
			started := time.Now()
			socketOf(t, x.ask(t, anna, hello(t))).wantClose(t, wsauth.RateLimited)
			if d := time.Since(started); d < 3*time.Second || d > 5*time.Second {
				t.Errorf("closed after %v", d)
			}
			authenticated.hangUp()
		})
	})
	t.Run("client hangs up", func(t *testing.T) {
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			authenticated := socketOf(t, x.ask(t, anna, hello(t)))
			for range 5 {
				socketOf(t, x.ask(t, anna, hello(t))).hangUp() // each of these sockets needs the only slot
			}
			authenticated.hangUp()
		})
	})
	t.Run("client sends too much", func(t *testing.T) {
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			authenticated := socketOf(t, x.ask(t, anna, hello(t)))
			c := socketOf(t, x.ask(t, anna, hello(t)))
			c.send(make([]byte, 1<<20))
			synctest.Wait()
			started := time.Now()
			c.wantClose(t, wsauth.RateLimited)
			if d := time.Since(started); d != 0 {
				t.Errorf("closed after %v", d)
			}
			if took := c.taken.Load(); took > 65<<10 {
				t.Errorf("the server read %d bytes", took)
			}
			authenticated.hangUp()
		})
	})
	t.Run("drain", func(t *testing.T) {
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			authenticated := socketOf(t, x.ask(t, anna, hello(t)))
			c := socketOf(t, x.ask(t, anna, hello(t)))
			synctest.Wait()
			started := time.Now()
			done := make(chan error, 1)
			go func() { done <- x.guard.Shutdown(context.Background()) }()
			c.wantClose(t, wsauth.RateLimited)
			authenticated.wantClose(t, wsauth.Restarting)
			if err := <-done; err != nil || time.Since(started) > time.Second {
				t.Errorf("%v after %v", err, time.Since(started))
			}
		})
	})
}

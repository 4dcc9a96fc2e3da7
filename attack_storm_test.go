package wsauth_test

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

// A naive client comes again after every end, whatever it was told, and takes
// a socket that opened for a success: its waits double from 250 ms to 30 s,
// and begin anew after each one.
type naive struct {
	from      string
	handshake string
}

// connect runs the client for a time, and returns how often it has connected.
func (n naive) connect(t *testing.T, x *lobby, until time.Time) (times int) {
	wait := 250 * time.Millisecond
	for time.Now().Before(until) {
		times++
		a := x.knock(t, n.from, n.handshake)
		if a.StatusCode == http.StatusSwitchingProtocols {
			wait = 250 * time.Millisecond
			c := called(t, a)
			_ = c.conn.SetReadDeadline(until)
			_, _, _ = c.readToClose()
		}
		a.conn.Close()
		time.Sleep(wait)
		wait = min(2*wait, 30*time.Second)
	}
	return times
}

// TestFullIsNoStorm: eight naive clients of one user with five places come
// again a few times, not all the time, whichever of them is turned away and
// however it is told. A socket that is refused by a close frame is open first,
// which is what made such clients come back at once.
func TestFullIsNoStorm(t *testing.T) {
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
				config := slots(100, 100, c.refusal)
				inLobby(t, "coder", func() wsauth.Config {
					all := config()
					all.Limits = limits
					all.Limits.WhenFull = c.full
					return all
				}, func(t *testing.T, x *lobby) {
					hello := upgrade("/access", fromOurs, bearer(login(t, "ada", "s1", token.Options{TTL: time.Hour}).Raw))
					until := time.Now().Add(10 * time.Second)
					var times atomic.Int64
					var clients sync.WaitGroup
					for range 8 {
						clients.Go(func() { times.Add(int64(naive{from: anna, handshake: hello}.connect(t, x, until))) })
					}
					clients.Wait()
					if again := times.Load() - 8; again < 1 || again > 20 {
						t.Errorf("they came again %d times in 10 s", again)
					}
					time.Sleep(10 * time.Second) // what is still held open
				})
			})
		}
	}
}

// TestRefusedTokenIsNoStorm: a naive client whose token is refused is told at
// once a few times, since it could get another one, and then only after a
// while. Others are told at once all the same.
func TestRefusedTokenIsNoStorm(t *testing.T) {
	inLobby(t, "coder", slots(100, 100, wsauth.RefuseClose), func(t *testing.T, x *lobby) {
		hello := upgrade("/access", fromOurs, bearer("x"))
		times := naive{from: anna, handshake: hello}.connect(t, x, time.Now().Add(30*time.Second))
		if times < 5 || times > 30 {
			t.Errorf("it came %d times in 30 s", times)
		}
		begun := time.Now()
		called(t, x.knock(t, ben, hello)).wantClose(t, wsauth.TokenInvalid)
		if d := time.Since(begun); d != 0 {
			t.Errorf("another client was told after %v", d)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestHeldOpen: a socket that is held open before it is closed gives its place
// back when its client hangs up, takes no more than its budget, and holds up
// no Drain.
func TestHeldOpen(t *testing.T) {
	config := func() wsauth.Config {
		c := slots(100, 2, wsauth.RefuseClose)()
		c.Limits.PerSubject = 1
		return c
	}
	hello := func(t *testing.T) string {
		return upgrade("/access", fromOurs, bearer(login(t, "ada", "s1", token.Options{TTL: time.Hour}).Raw))
	}
	t.Run("to the end", func(t *testing.T) {
		inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
			known := called(t, x.knock(t, anna, hello(t)))
			begun := time.Now()
			called(t, x.knock(t, anna, hello(t))).wantClose(t, wsauth.RateLimited)
			if d := time.Since(begun); d < 3*time.Second || d > 5*time.Second {
				t.Errorf("closed after %v", d)
			}
			known.hangUp()
		})
	})
	t.Run("client hangs up", func(t *testing.T) {
		inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
			known := called(t, x.knock(t, anna, hello(t)))
			for range 5 {
				called(t, x.knock(t, anna, hello(t))).hangUp() // there is one place
			}
			known.hangUp()
		})
	})
	t.Run("client sends too much", func(t *testing.T) {
		inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
			known := called(t, x.knock(t, anna, hello(t)))
			c := called(t, x.knock(t, anna, hello(t)))
			c.send(make([]byte, 1<<20))
			synctest.Wait()
			begun := time.Now()
			c.wantClose(t, wsauth.RateLimited)
			if d := time.Since(begun); d != 0 {
				t.Errorf("closed after %v", d)
			}
			if took := c.took.Load(); took > 65<<10 {
				t.Errorf("it took %d bytes", took)
			}
			known.hangUp()
		})
	})
	t.Run("drain", func(t *testing.T) {
		inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
			known := called(t, x.knock(t, anna, hello(t)))
			c := called(t, x.knock(t, anna, hello(t)))
			synctest.Wait()
			begun := time.Now()
			done := make(chan error, 1)
			go func() { done <- x.guard.Shutdown(context.Background()) }()
			c.wantClose(t, wsauth.RateLimited)
			known.wantClose(t, wsauth.Restarting)
			if err := <-done; err != nil || time.Since(begun) > time.Second {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	})
}

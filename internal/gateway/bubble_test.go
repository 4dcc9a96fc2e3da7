package gateway

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/wstest"
)

// inBubble runs a test with synthetic time, which advances only while all
// goroutines are blocked. Its gateway serves net.Pipes.
func inBubble(t *testing.T, f func(t *testing.T, r *rig), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := wstest.NewPipes()
		f(t, serve(t, l, "http://localhost", &http.Transport{
			DialContext: l.DialContext,
			// Shorter than the server's idle timeout. Otherwise, a test that
			// sleeps for exactly that long could send its next request on a
			// connection that the server is closing.
			IdleConnTimeout: 20 * time.Second,
		}, change))
	})
}

// TestL1_ExpiryEndsTheSocket checks that a socket works until its token
// expires, and then ends.
func TestL1_ExpiryEndsTheSocket(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		conn := r.Open("", bearer(access))
		expires := r.wantIdentity(conn, "welcome")
		time.Sleep(time.Until(expires.Add(-time.Nanosecond)))
		r.Write(conn, "I live")
		if got, err := r.Read(conn); got != "I live" {
			t.Fatal(got, err)
		}
		r.WantClose(conn, 3000, "token_expired")
		if late := time.Since(expires); late > time.Second {
			t.Errorf("closed %v after the expiry", late)
		}
		r.WantClose(r.Open("", bearer(access)), 3000, "token_expired")
	})
}

// TestL2_RefreshExtendsTheSocketUntilTheSessionEnds checks that each refresh
// renews the socket, but not beyond the end of the session.
func TestL2_RefreshExtendsTheSocketUntilTheSessionEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		access, refresh := r.Login()
		conn := r.Open("", bearer(access))
		expires := r.wantIdentity(conn, "welcome")
		ends := began.Add(50 * time.Minute)
		renewals := 0
		for expires.Before(ends.Add(-time.Minute)) {
			time.Sleep(time.Until(expires) * 9 / 10)
			_, refresh = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
			v := r.message(conn)
			after := time.Unix(int64(v["expires_at"].(float64)), 0)
			if v["type"] != "renewed" || !after.After(expires) || after.After(ends) {
				t.Fatalf("got %v, want a renewal to after %v and not after %v", v, expires, ends)
			}
			expires = after
			renewals++
		}
		if renewals < 3 {
			t.Errorf("renewed only %d times", renewals)
		}
		time.Sleep(time.Until(expires) - time.Nanosecond)
		r.WantClose(conn, 3000, "token_expired")
		if since := time.Since(ends); since > time.Second {
			t.Errorf("the socket lived %v longer than its session", since)
		}
		time.Sleep(time.Until(ends) + time.Second) // the last token may have ended a little earlier than its session
		r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantProblem(t, http.StatusUnauthorized, "token_expired", "")
	}, func(c *Config) { c.Login.RefreshTTL, c.Login.SessionTTL = 20*time.Minute, 50*time.Minute })
}

// TestL7_TheGraceEnds checks that a refresh token that was used may be used
// again within the grace period, and that a later use ends the session.
func TestL7_TheGraceEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, old := r.Login()
		access, _ := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(old)))
		conn := r.openEcho(access)
		time.Sleep(10 * time.Second)
		r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(old)))
		time.Sleep(2 * time.Millisecond)
		r.Call("POST", "/auth/refresh", "", bearer(old)).WantProblem(t, 401, "session_ended", "")
		if v := r.message(conn); v["type"] != "renewed" { // by the second use, within the grace
			t.Error(v)
		}
		r.WantClose(conn, 3000, "session_ended")
	})
}

// TestL11_TicketsExpire checks that a ticket opens a socket for 30 s.
func TestL11_TicketsExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		late, good := r.Ticket(access), r.Ticket(access)
		time.Sleep(30*time.Second - time.Millisecond)
		r.wantIdentity(r.Open("?ticket="+good), "welcome")
		time.Sleep(time.Millisecond)
		r.WantClose(r.Open("?ticket="+late), 3000, "token_invalid")
	})
}

// TestStepUpIsRequestedOncePerMinute checks that a step-up is requested once
// within a minute, and again afterwards.
func TestStepUpIsRequestedOncePerMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, refresh := r.Login()
		stale, _ := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
		conn := r.openEcho(stale)
		for range 2 { // the first was abandoned, so it is requested again
			r.Write(conn, `{"type":"step-up"}`)
			if v := r.message(conn); v["type"] != "fresh_required" {
				t.Fatal(v)
			}
			time.Sleep(time.Minute - time.Second)
			r.Write(conn, `{"type":"step-up"}`)
			r.Write(conn, "meanwhile")
			if got, err := r.Read(conn); got != "meanwhile" {
				t.Fatal(got, err)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

// TestServerCutsSlowAndIdleConnections checks that the server closes
// connections whose request or next request does not arrive in time.
func TestServerCutsSlowAndIdleConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		send   string
		answer bool
		after  time.Duration
	}{
		"H10 slow head": {"GET / HTTP/1.1\r\nHost: x\r\nA", false, 5 * time.Second},
		"slow body":     {"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", true, 10 * time.Second},
		"idle":          {"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", true, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				conn := r.Connect()
				defer conn.Close()
				started := time.Now()
				if err := conn.SetDeadline(started.Add(2 * tt.after)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, tt.send); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(conn)
				if tt.answer {
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := io.Copy(io.Discard, in); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(started); took < tt.after || took > tt.after+time.Second {
					t.Errorf("cut after %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// TestDrainIsSpread checks that the clients of a draining server do not all
// reconnect elsewhere at once. It uses the demonstration's route.
func TestDrainIsSpread(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		ended := make([]chan time.Time, 20)
		for i := range ended {
			conn := r.openEcho(access)
			ended[i] = make(chan time.Time, 1)
			go func() {
				_, err := r.Read(conn)
				if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 1012 || end.Reason != "restarting" {
					t.Errorf("socket %d: %v", i, err)
				}
				ended[i] <- time.Now()
			}()
		}
		started := time.Now()
		r.stop()
		for i := range ended {
			if after, want := (<-ended[i]).Sub(started), time.Duration(i)*time.Millisecond; after != want {
				t.Errorf("socket %d ended after %v, want %v", i, after, want)
			}
		}
	})
}

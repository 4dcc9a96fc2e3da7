package attack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestRevocation checks that each kind of revocation ends the right sockets,
// returns their number, and makes their tokens invalid (L4).
func TestRevocation(t *testing.T) {
	for name, c := range map[string]struct {
		revoke func(tok *token.Claims) store.Revocation
		ends   string // the indexes of the sockets that end
		reason wsauth.Reason
	}{
		"L4/token": {func(c *token.Claims) store.Revocation {
			return store.Revocation{Target: store.TargetToken, ID: c.ID, Expires: inAnHour()}
		}, "0", wsauth.TokenRevoked},
		"L4/session": {func(c *token.Claims) store.Revocation {
			return store.Revocation{Target: store.TargetSession, ID: c.SessionID, Expires: inAnHour()}
		}, "01", wsauth.SessionEnded},
		"L4/subject": {func(c *token.Claims) store.Revocation {
			return store.Revocation{Target: store.TargetSubject, ID: c.Subject, Before: time.Now(), Expires: inAnHour()}
		}, "0124", wsauth.SessionEnded},
		"L4/sessionless": {func(c *token.Claims) store.Revocation {
			return store.Revocation{Target: store.TargetSessionless, ID: c.Subject, Before: time.Now(), Expires: inAnHour()}
		}, "4", wsauth.SessionEnded},
		"L4/everything": {func(*token.Claims) store.Revocation {
			return store.Revocation{Target: store.TargetAll, Before: time.Now(), Expires: inAnHour()}
		}, "01234", wsauth.SessionEnded},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, withLog, func(t *testing.T, x *bubble) {
				tokens := []*token.Token{
					login(t, "alice", "s1", token.Options{}),
					login(t, "alice", "s1", token.Options{}),
					login(t, "alice", "s2", token.Options{}),
					login(t, "bob", "s3", token.Options{}),
					login(t, "alice", "", token.Options{}),
				}
				var clients []*client
				for _, tok := range tokens {
					clients = append(clients, x.openWith(t, tok))
				}
				guest := x.open(t, "/optional")
				time.Sleep(time.Minute)
				started := time.Now()
				n, err := x.guard.Revoke(t.Context(), c.revoke(tokens[0].Claims))
				if err != nil || n != len(c.ends) {
					t.Errorf("Revoke ended %d sockets, %v; want %d", n, err, len(c.ends))
				}
				for i, socket := range clients {
					if !strings.ContainsRune(c.ends, rune('0'+i)) {
						socket.wantOpen(t)
						continue
					}
					socket.wantEnd(t, c.reason)
					if !socket.ended.Equal(started) {
						t.Errorf("closed after %v", socket.ended.Sub(started))
					}
					x.takeRequests()
					x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(tokens[i].Raw))), wsauth.TokenRevoked, pieces(tokens[i].Raw)...)
				}
				guest.wantOpen(t)
				if n, err := x.guard.Revoke(t.Context(), c.revoke(tokens[0].Claims)); err != nil || n != 0 {
					t.Errorf("the second time: %d sockets, %v", n, err)
				}
			})
		})
	}
}

// TestRevocationByOthers checks that the guard follows its log, which other
// nodes write too.
func TestRevocationByOthers(t *testing.T) {
	newLog := func() *memory.Store { return memory.New(store.Limits{}) }
	var log *memory.Store
	inBubble(t, func() wsauth.Config {
		log = newLog()
		return wsauth.Config{Revocations: log}
	}, func(t *testing.T, x *bubble) {
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		if err := log.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: "s1", Expires: inAnHour()}); err != nil {
			t.Fatal(err)
		}
		socket.wantEnd(t, wsauth.SessionEnded)
	})
}

// TestRevokeWithoutALog checks that Revoke fails if no log is configured.
func TestRevokeWithoutALog(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: "j", Expires: inAnHour()}); err == nil || !strings.Contains(err.Error(), "no Config.Revocations") {
		t.Errorf("Revoke without a log: %v", err)
	}
}

// TestLogoutEverywhere checks that revoking a subject ends the sessions that
// started before, but not a login later in the same second (L6).
func TestLogoutEverywhere(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		before := login(t, "alice", store.NewSessionID(time.Now()), token.Options{})
		socket := x.openWith(t, before)
		if _, err := x.guard.Revoke(t.Context(), store.Revocation{Target: store.TargetSubject, ID: "alice", Before: time.Now(), Expires: inAnHour()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		after := login(t, "alice", store.NewSessionID(time.Now()), token.Options{})
		if !after.Claims.IssuedAt.Equal(before.Claims.IssuedAt) {
			t.Fatal("not the same second")
		}
		socket.wantEnd(t, wsauth.SessionEnded)
		socket = x.openWith(t, after)
		for _, ended := range []store.Revocation{ // again, and with earlier cut-offs
			{Target: store.TargetSubject, ID: "alice", Before: after.Claims.IssuedAt.Add(-time.Hour), Expires: inAnHour()},
			{Target: store.TargetAll, Before: after.Claims.IssuedAt.Add(-time.Hour), Expires: inAnHour()},
		} {
			if n, err := x.guard.Revoke(t.Context(), ended); err != nil || n != 0 {
				t.Errorf("%d sockets, %v", n, err)
			}
		}
		socket.wantOpen(t)
	})
}

// A pipeWriter is a response writer for a pipe that the client reads.
type pipeWriter struct {
	http.ResponseWriter
	conn net.Conn
}

func (w pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// handshake runs one handshake without a network. When the connection is
// closed, it returns the bytes that the client has read.
func handshake(t *testing.T, h http.Handler, raw string) string {
	t.Helper()
	server, client := net.Pipe()
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(client)
		client.Close()
		got <- string(all)
	}()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(pipeWriter{recorder, server}, request(t, upgrade("/access", bearer(raw))))
	if recorder.Body.Len() == 0 {
		return <-got // the connection was hijacked
	}
	server.Close()
	<-got
	return fmt.Sprint("HTTP/1.1 ", recorder.Code, " ", recorder.Body)
}

// openAndWait opens a socket and waits for its end.
func openAndWait(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	<-r.Context().Done()
	conn.Close()
}

// TestRevokeDuringTheHandshake checks that no revocation during a handshake
// leaves a socket of its token open (L5). It revokes once between the check and
// the registration, and 10,000 times at random moments.
func TestRevokeDuringTheHandshake(t *testing.T) {
	var guard *wsauth.Guard
	revoke := func(claims *token.Claims) {
		if _, err := guard.Revoke(context.Background(), store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: inAnHour()}); err != nil {
			t.Error(err)
		}
	}
	var revokeInAuthorize atomic.Bool
	guard, err := wsauth.New(wsauth.Config{
		Verifier:    newVerifier(t, 0),
		Revocations: memory.New(store.Limits{}),
		Authorize: func(_ *http.Request, claims *token.Claims) error {
			if revokeInAuthorize.Load() {
				revoke(claims)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := guard.Require(wsauth.Access)(http.HandlerFunc(openAndWait))

	t.Run("L5/after the check", func(t *testing.T) {
		revokeInAuthorize.Store(true)
		defer revokeInAuthorize.Store(false)
		if got := handshake(t, h, access(t)); !strings.HasPrefix(got, "HTTP/1.1 401") || !strings.Contains(got, "token_revoked") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("L5/10,000 interleavings", func(t *testing.T) {
		refused, ended := 0, 0
		for range 10_000 {
			made := issue(t, token.TypeAccess, "alice", token.Options{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for range rand.IntN(30) {
					runtime.Gosched()
				}
				revoke(made.Claims)
			})
			got := handshake(t, h, made.Raw) // a socket that stays open hangs here
			wg.Wait()
			switch {
			case strings.HasPrefix(got, "HTTP/1.1 401"):
				refused++
			case strings.HasSuffix(got, "\x88\x0f\x0b\xb8token_revoked"):
				ended++
			default:
				t.Fatalf("got %q", got)
			}
		}
		t.Logf("%d refused, %d ended", refused, ended)
		if refused == 0 || ended == 0 {
			t.Error("the revocation always came on the same side of the handshake")
		}
	})
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAfterShutdown checks that a guard that has shut down, and so no longer
// follows its log, admits no requests, not even plain ones.
func TestAfterShutdown(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		good := access(t)
		x.wantSuccess(t, x.ask(t, "", plain("GET", "/access", bearer(good))))
		if err := x.guard.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.wantRefusal(t, x.ask(t, "", plain("GET", "/access", bearer(good))), wsauth.Restarting, pieces(good)...)
	})
}

// A silentLog is a log of revocations that can stop answering.
type silentLog struct {
	*memory.Store
	isSilent atomic.Bool
}

func (d *silentLog) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if d.isSilent.Load() {
		return store.Page{}, errors.New("no answer")
	}
	return d.Store.Read(ctx, after)
}

func (d *silentLog) Wait(ctx context.Context, after store.Cursor) error {
	if d.isSilent.Load() {
		return errors.New("no answer")
	}
	return d.Store.Wait(ctx, after)
}

// TestStoreLost checks that a guard that loses its store relies, for the
// configured time, on the revocations that it has read. Then it fails closed
// until the store is back.
func TestStoreLost(t *testing.T) {
	var log *silentLog
	inBubble(t, func() wsauth.Config {
		log = &silentLog{Store: memory.New(store.Limits{})}
		return wsauth.Config{Revocations: log, Staleness: 20 * time.Second}
	}, func(t *testing.T, x *bubble) {
		made := login(t, "alice", "s1", token.Options{TTL: time.Hour})
		socket, guest := x.openWith(t, made), x.open(t, "/optional")
		log.isSilent.Store(true)
		lost := time.Now()
		time.Sleep(18 * time.Second)
		socket.wantOpen(t)
		x.openWith(t, made).wantOpen(t)
		if err := x.guard.Ready(); err != nil {
			t.Errorf("not ready before the staleness limit: %v", err)
		}
		time.Sleep(10 * time.Second)
		socket.wantEnd(t, wsauth.StoreUnavailable)
		if err := x.guard.Ready(); !errors.Is(err, wsauth.StoreUnavailable) {
			t.Errorf("ready after the staleness limit: %v", err)
		}
		if d := socket.ended.Sub(lost); d < 18*time.Second || d > 27*time.Second {
			t.Errorf("ended after %v", d)
		}
		guest.wantOpen(t)
		x.takeRequests()
		x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(made.Raw))), wsauth.StoreUnavailable, pieces(made.Raw)...)
		log.isSilent.Store(false)
		time.Sleep(5 * time.Second)
		x.openWith(t, made).wantOpen(t)
		if err := x.guard.Ready(); err != nil {
			t.Errorf("not ready though the store is back: %v", err)
		}
	})
}

// TestStoreAbsent checks that a guard that has never reached its store refuses
// requests within a second.
func TestStoreAbsent(t *testing.T) {
	inBubble(t, func() wsauth.Config {
		log := &silentLog{Store: memory.New(store.Limits{})}
		log.isSilent.Store(true)
		return wsauth.Config{Revocations: log}
	}, func(t *testing.T, x *bubble) {
		started := time.Now()
		a := x.ask(t, "", upgrade("/access", bearer(access(t))))
		if d := time.Since(started); d > time.Second {
			t.Errorf("refused after %v", d)
		}
		x.wantRefusal(t, a, wsauth.StoreUnavailable)
		synctest.Wait()
	})
}

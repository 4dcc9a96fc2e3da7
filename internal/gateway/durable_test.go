package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
	"wsauth/internal/revindex"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A fullDisk is a store whose Revoke fails while fault is set.
type fullDisk struct {
	*memory.Store
	fault atomic.Pointer[error]
}

func newFullDisk() *fullDisk { return &fullDisk{Store: memory.New(store.Limits{})} }

func (d *fullDisk) Revoke(ctx context.Context, r ...store.Revocation) error {
	if fault := d.fault.Load(); fault != nil {
		return *fault
	}
	return d.Store.Revoke(ctx, r...)
}

// fill makes every revocation fail.
func (d *fullDisk) fill() { d.fault.Store(new(errors.New("no disk"))) }

func (d *fullDisk) empty() { d.fault.Store(nil) }

// wantNotDurable checks the answer to a revocation that only this node knows.
func wantNotDurable(t *testing.T, e logintest.Answer) {
	t.Helper()
	e.WantProblem(t, 503, "store_unavailable", "has ended on this server")
	if v := e.Decode(t); v["ended"] != true || v["durable"] != false {
		t.Errorf("%s: want ended true and durable false", e.Text)
	}
	if strings.Contains(e.Text, "disk") {
		t.Errorf("%s mentions the disk", e.Text)
	}
}

// TestEndsWithoutTheStore checks that each way to end a session ends it and its
// sockets even while the store takes no revocations, and that the answer says
// that the end is not durable. The gateway stays ready, and writes the
// revocation later.
func TestEndsWithoutTheStore(t *testing.T) {
	for name, end := range map[string]func(r *rig, o *operator, access, refresh string) logintest.Answer{
		"logout": func(r *rig, _ *operator, access, _ string) logintest.Answer {
			return r.Call("POST", "/auth/logout", "", bearer(access))
		},
		"logout with the refresh token": func(r *rig, _ *operator, _, refresh string) logintest.Answer {
			return r.Call("POST", "/auth/logout", "", bearer(refresh))
		},
		"logout everywhere": func(r *rig, _ *operator, access, _ string) logintest.Answer {
			return r.Call("POST", "/auth/logout-everywhere", "", bearer(access))
		},
		"one session": func(r *rig, _ *operator, access, _ string) logintest.Answer {
			return r.Call("DELETE", "/auth/sessions/"+r.Claims(access)["sid"].(string), "", bearer(access))
		},
		"operator, session": func(r *rig, o *operator, access, _ string) logintest.Answer {
			return o.Call("POST", "/v1/revoke", `{"session":"`+r.Claims(access)["sid"].(string)+`"}`, jsonType)
		},
		"operator, user": func(_ *rig, o *operator, _, _ string) logintest.Answer {
			return o.Call("POST", "/v1/revoke", `{"user":"test"}`, jsonType)
		},
		"operator, everything": func(_ *rig, o *operator, _, _ string) logintest.Answer {
			return o.Call("POST", "/v1/revoke", `{"everything":true}`, jsonType)
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newFullDisk()
			r := start(t, func(c *Config) { c.Store = disk })
			o := r.operator()
			access, refresh := r.Login()
			conn := r.openEcho(access)
			if e := r.Call("GET", "/readyz", ""); e.Text != `{"status":"ready"}` {
				t.Errorf("/readyz: %s", e.Text)
			}
			disk.fill()
			wantNotDurable(t, end(r, o, access, refresh))
			r.WantClose(conn, 3000, "session_ended")
			r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
			r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantEnded(t)
			if e := r.Call("GET", "/readyz", ""); e.StatusCode != 200 || e.Text != `{"status":"degraded"}` {
				t.Errorf("/readyz: %d %s", e.StatusCode, e.Text)
			}
			if e := o.Call("GET", "/v1/status", ""); !strings.Contains(e.Text, `"ready":true`) || !strings.Contains(e.Text, `"degraded":true`) || !strings.Contains(e.Text, `"pending":1`) {
				t.Errorf("status: %s", e.Text)
			}
			disk.empty()
			for deadline := time.Now().Add(10 * time.Second); r.g.guard.Stats().Held > 0 && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if e := r.Call("GET", "/readyz", ""); e.Text != `{"status":"ready"}` {
				t.Errorf("/readyz: %s", e.Text)
			}
			page, err := disk.Read(t.Context(), store.Cursor{})
			if err != nil || len(page.Revocations) != 1 {
				t.Errorf("the store has %v, %v", page.Revocations, err)
			}
		})
	}
}

// TestLogoutBeyondTheHeldRevocations checks that, while the store takes
// nothing, this node holds as many revocations as docs/sessions.md says. One
// more ends nothing: the answer says so, the socket stays open, and the session
// stays in the list, so that its user can end it later.
func TestLogoutBeyondTheHeldRevocations(t *testing.T) {
	disk := newFullDisk()
	r := start(t, func(c *Config) { c.Store, c.Front.Drain, c.Login.RefreshGrace = disk, time.Minute, -1 })
	first, _ := r.Login()
	second, refresh := r.Login()
	_, replaced := r.Login()
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(replaced)))
	conn := r.openEcho(second)
	sid := r.Claims(second)["sid"].(string)
	disk.fill()
	for held := 0; held < revindex.DefaultMaxHeld-1; {
		page := make([]store.Revocation, min(store.MaxPage, revindex.DefaultMaxHeld-1-held))
		for i := range page {
			page[i] = store.Revocation{Target: store.TargetSession, ID: fmt.Sprint("other-", held+i), Expires: time.Now().Add(time.Hour)}
		}
		if _, err := r.g.guard.Revoke(t.Context(), page...); !errors.Is(err, store.ErrNotDurable) {
			t.Fatal(err)
		}
		held += len(page)
	}
	wantNotDurable(t, r.Call("POST", "/auth/logout", "", bearer(first)))
	r.Call("GET", "/auth/session", "", bearer(first)).WantEnded(t)
	if held := r.g.guard.Stats().Held; held != revindex.DefaultMaxHeld {
		t.Errorf("%d are held, want %d", held, revindex.DefaultMaxHeld)
	}

	e := r.Call("POST", "/auth/logout", "", bearer(second))
	e.WantProblem(t, http.StatusServiceUnavailable, "store_unavailable", "")
	if v := e.Decode(t); v["ended"] != nil {
		t.Errorf("%s: want no ended session", e.Text)
	}
	if list := r.Call("GET", "/auth/sessions", "", bearer(second)); !strings.Contains(list.Text, sid) {
		t.Errorf("the session is not listed: %d %s", list.StatusCode, list.Text)
	}
	r.Write(conn, "still here")
	if got, err := r.Read(conn); got != "still here" {
		t.Error(got, err)
	}
	// A refresh token that was exchanged is refused, though its session
	// cannot be ended.
	for _, path := range []string{"/auth/refresh", "/auth/logout"} {
		r.Call("POST", path, "", bearer(replaced)).WantProblem(t, http.StatusServiceUnavailable, "store_unavailable", "")
	}
	disk.empty()
	if e := r.Call("POST", "/auth/logout", "", bearer(refresh)); e.StatusCode != http.StatusNoContent {
		t.Errorf("got %d %s, want %v", e.StatusCode, e.Text, http.StatusNoContent)
	}
	r.WantClose(conn, 3000, "session_ended")
}

// A readOnly is a store that can be read. Its writes fail while an error is
// set, like those to a full disk.
type readOnly struct{ *failingStore }

func (s readOnly) EndSession(ctx context.Context, subject, id string) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.EndSession(ctx, subject, id)
}

func (s readOnly) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	return s.Store.FindSession(ctx, subject, id)
}

func (s readOnly) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	return s.Store.ListSessions(ctx, subject)
}

// TestRefreshTokensOfAReadOnlyStore checks that, with a store that can only be
// read, a refresh token that was exchanged long ago still ends its session
// wherever a client presents it, and that a valid one still logs out. No other
// session ends.
func TestRefreshTokensOfAReadOnlyStore(t *testing.T) {
	refreshBy := func(key string) func(r *rig, raw string) logintest.Answer {
		return func(r *rig, raw string) logintest.Answer {
			lines := []string{bearer(raw)}
			if key != "" {
				lines = append(lines, "Idempotency-Key: "+key)
			}
			return r.Call("POST", "/auth/refresh", "", lines...)
		}
	}
	post := func(path string) func(r *rig, raw string) logintest.Answer {
		return func(r *rig, raw string) logintest.Answer { return r.Call("POST", path, "", bearer(raw)) }
	}
	for name, tt := range map[string]struct {
		generation int // of the refresh token that is presented, from 0 to 2
		show       func(r *rig, raw string) logintest.Answer
		status     int
		ends       bool
	}{
		"refresh, current":           {2, refreshBy("k3"), 503, false},
		"refresh, lost answer":       {1, refreshBy("k2"), 503, false},
		"refresh, predecessor":       {1, refreshBy("other"), 401, true},
		"refresh, two ago":           {0, refreshBy("k1"), 401, true},
		"refresh, no key":            {1, refreshBy(""), 401, true},
		"route, current":             {2, func(r *rig, raw string) logintest.Answer { return r.Call("GET", "/refresh", "", bearer(raw)) }, 503, false},
		"route, predecessor":         {1, func(r *rig, raw string) logintest.Answer { return r.Call("GET", "/refresh", "", bearer(raw)) }, 401, true},
		"logout, current":            {2, post("/auth/logout"), 503, true},
		"logout, predecessor":        {1, post("/auth/logout"), 401, true},
		"logout everywhere, current": {2, post("/auth/logout-everywhere"), 503, true},
		"logout everywhere, two ago": {0, post("/auth/logout-everywhere"), 401, true},
	} {
		t.Run(name, func(t *testing.T) {
			disk := readOnly{&failingStore{Store: memory.New(store.Limits{})}}
			r := start(t, func(c *Config) {
				c.Store, c.Login.RefreshGrace = disk, -1
				c.Routes = []proxy.Route{{Path: "/refresh", Upstreams: []string{"http://127.0.0.1:1"}, Requirement: wsauth.Refresh}}
			})
			access, refresh := r.Login()
			all := []string{refresh}
			for _, key := range []string{"k1", "k2"} {
				access, refresh = r.Renewed(refreshBy(key)(r, refresh))
				all = append(all, refresh)
			}
			disk.fail(errors.New("no disk"))
			if e := tt.show(r, all[tt.generation]); e.StatusCode != tt.status {
				t.Errorf("%d %s, want %d", e.StatusCode, e.Text, tt.status)
			}
			want := 200
			if tt.ends {
				want = 401
			}
			if e := r.Call("GET", "/auth/session", "", bearer(access)); e.StatusCode != want {
				t.Errorf("the access token is then %d, want %d", e.StatusCode, want)
			}
			disk.fail(nil)
			if e := refreshBy("k9")(r, all[2]); e.StatusCode != want {
				t.Errorf("the current refresh token is then %d %s, want %d", e.StatusCode, e.Text, want)
			}
		})
	}
}

// TestNotDurableLogoutClearsTheCookies checks that a logout deletes the cookies
// of a session even if only this node knows that it has ended.
func TestNotDurableLogoutClearsTheCookies(t *testing.T) {
	disk := newFullDisk()
	r := start(t, func(c *Config) { c.Store = disk })
	csrf, _ := r.LoginCookies()
	disk.fill()
	wantNotDurable(t, r.Call("POST", "/auth/logout", "", "X-CSRF-Token: "+csrf))
	if left := r.Cookies(); len(left) != 0 {
		t.Errorf("the browser still has %v", left)
	}
	disk.empty()
}

// TestFullLog checks that a node works with a full log: logins succeed, even
// one that ends an older session, and revoked sessions end.
func TestFullLog(t *testing.T) {
	var full *memory.Store
	inBubble(t, func(t *testing.T, r *rig) {
		err := full.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: "t", Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := r.Login()
		conn := r.openEcho(first)
		time.Sleep(2 * time.Second)
		if e := r.Call("GET", "/readyz", ""); e.Text != `{"status":"degraded"}` {
			t.Errorf("/readyz: %s", e.Text)
		}
		for range 100 { // as many sessions as a user may have
			time.Sleep(6 * time.Second)
			r.Login()
		}
		r.WantClose(conn, 3000, "session_ended")
		r.Call("GET", "/auth/session", "", bearer(first)).WantEnded(t)
		access, _ := r.Login()
		wantNotDurable(t, r.Call("POST", "/auth/logout", "", bearer(access)))
		if _, err := r.g.login.EndAllBefore(t.Context(), time.Now()); err != nil {
			t.Errorf("no error of a full log: %v", err)
		}
		r.Login()
		time.Sleep(2 * time.Second)
		if held := r.g.guard.Stats().Held; held != 0 {
			t.Errorf("%d are held, though there is room", held)
		}
	}, func(c *Config) { full = memory.New(store.Limits{Revocations: 1}); c.Store = full })
}

// TestRevocationOfASessionLivesAsLongAsItsTokens checks that an entry for a
// session that started here expires with its tokens, regardless of who ended
// it, and that any other entry lives as long as a token can.
func TestRevocationOfASessionLivesAsLongAsItsTokens(t *testing.T) {
	secret, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(o token.Options) string {
		return must(must(token.NewIssuer(token.IssuerConfig{Key: secret})).Access("test", o)).Raw
	}
	for name, tt := range map[string]struct {
		end  func(t *testing.T, r *rig, access, refresh string) logintest.Answer
		want time.Duration // from the login
	}{
		"logout": {func(_ *testing.T, r *rig, access, _ string) logintest.Answer {
			return r.Call("POST", "/auth/logout", "", bearer(access))
		}, 35 * time.Minute},
		"one session": {func(_ *testing.T, r *rig, access, _ string) logintest.Answer {
			return r.Call("DELETE", "/auth/sessions/"+r.Claims(access)["sid"].(string), "", bearer(access))
		}, 35 * time.Minute},
		"reuse": {func(_ *testing.T, r *rig, _, refresh string) logintest.Answer {
			r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
			time.Sleep(time.Minute)
			return r.Call("POST", "/auth/refresh", "", bearer(refresh))
		}, 36 * time.Minute},
		"at the end of its life": {func(_ *testing.T, r *rig, access, refresh string) logintest.Answer {
			for range 3 {
				time.Sleep(19 * time.Minute)
				access, refresh = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
			}
			return r.Call("POST", "/auth/logout", "", bearer(access))
		}, time.Hour},
		"hand-made": {func(_ *testing.T, r *rig, _, _ string) logintest.Answer {
			return r.Call("POST", "/auth/logout", "", bearer(foreign(token.Options{SessionID: "by-hand", TTL: time.Hour})))
		}, login.MaxTTL},
	} {
		t.Run(name, func(t *testing.T) {
			var log *memory.Store
			inBubble(t, func(t *testing.T, r *rig) {
				started := time.Now()
				access, refresh := r.Login()
				if e := tt.end(t, r, access, refresh); e.StatusCode >= 500 {
					t.Fatalf("got %d %s", e.StatusCode, e.Text)
				}
				page, err := log.Read(t.Context(), store.Cursor{})
				if err != nil || len(page.Revocations) != 1 {
					t.Fatalf("the log has %v, %v", page.Revocations, err)
				}
				if kept := page.Revocations[0].Expires.Sub(started); kept < tt.want || kept > tt.want+2*time.Minute {
					t.Errorf("kept for %v, want %v", kept, tt.want)
				}
			}, func(c *Config) {
				log = memory.New(store.Limits{}) // in the bubble
				c.Tokens.Keys, c.Store = must(token.NewKeySet(secret)), log
				c.Login.AccessTTL, c.Login.RefreshTTL, c.Login.SessionTTL = 5*time.Minute, 30*time.Minute, time.Hour
			})
		})
	}
}

// TestRevocationMetrics checks that the metrics show how full the log is.
func TestRevocationMetrics(t *testing.T) {
	var disk *fullDisk
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		r.Call("POST", "/auth/logout", "", bearer(access))
		disk.fill()
		access, _ = r.Login()
		r.Call("POST", "/auth/logout", "", bearer(access))
		time.Sleep(2 * time.Second)
		got := r.metrics()
		for name, want := range map[string]string{"revocation_log_entries": "1", "revocation_log_limit": "1e+06", "revocations_pending": "1"} {
			if got[name] != want {
				t.Errorf("%s is %q, want %s", name, got[name], want)
			}
		}
		disk.empty()
	}, func(c *Config) { disk = newFullDisk(); c.Store = disk })
}

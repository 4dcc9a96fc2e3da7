package login

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/internal/logintest"
	"wsauth/store"
	"wsauth/store/memory"
)

// list returns the sessions in the answer to a token, by sid.
func (r *rig) list(access string) map[string]map[string]any {
	r.T.Helper()
	e := r.Call("GET", "/auth/sessions", "", bearer(access))
	if e.StatusCode != http.StatusOK || e.Header.Get("Cache-Control") != "no-store" {
		r.T.Fatalf("%d %s %v", e.StatusCode, e.Text, e.Header)
	}
	found := map[string]map[string]any{}
	for _, s := range e.Decode(r.T)["sessions"].([]any) {
		entry := s.(map[string]any)
		found[entry["sid"].(string)] = entry
	}
	return found
}

func TestSessionsAreListed(t *testing.T) {
	r := start(t, func(c *setup) { c.Users = anyone })
	first, _ := r.LoginAs("anna", "User-Agent: Phone/1 \xff\u202e"+strings.Repeat("x", 300))
	second, _ := r.LoginAs("anna", "User-Agent: Laptop")
	r.LoginAs("bert")
	conn := r.echoes(first)
	firstSID, secondSID := r.Claims(first)["sid"].(string), r.Claims(second)["sid"].(string)
	list := r.list(first)
	if len(list) != 2 {
		t.Fatalf("%d sessions: %v", len(list), list)
	}
	a, b := list[firstSID], list[secondSID]
	if a["current"] != true || b["current"] != false || b["agent"] != "Laptop" || !strings.HasPrefix(a["agent"].(string), "Phone/1 ��xx") || len(a["agent"].(string)) > 256 {
		t.Errorf("%v, %v", a, b)
	}
	now := float64(time.Now().Unix())
	for _, s := range list {
		if s["remote"] != "127.0.0.1" || s["started"].(float64) < now-20 || s["started"].(float64) > now || s["used"] != s["started"] || s["expires"].(float64) <= now {
			t.Errorf("%v", s)
		}
	}
	sockets := a["sockets"].([]any)
	if len(sockets) != 1 || len(b["sockets"].([]any)) != 0 {
		t.Fatalf("%v, %v", a["sockets"], b["sockets"])
	}
	if s := sockets[0].(map[string]any); s["remote"] != "127.0.0.1" || s["opened"].(float64) > now || s["expires"] != r.Claims(first)["exp"] {
		t.Errorf("%v", s)
	}

	// One session is ended: its socket closes, and it is no longer listed.
	e := r.Call("DELETE", "/auth/sessions/"+firstSID, "", bearer(second))
	if e.StatusCode != http.StatusOK || e.Decode(t)["sockets"] != float64(1) {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(first)).WantEnded(t)
	if list := r.list(second); len(list) != 1 || list[secondSID] == nil {
		t.Errorf("%v", list)
	}
	r.Call("DELETE", "/auth/sessions/"+firstSID, "", bearer(second)).WantProblem(t, 404, "", "no such session")
}

// TestSessionsOfOthersCannotBeEnded checks that a request to end another user's
// session gets the same answer as one for a session that does not exist (H15).
func TestSessionsOfOthersCannotBeEnded(t *testing.T) {
	r := start(t, func(c *setup) { c.Users = anyone })
	anna, _ := r.LoginAs("anna")
	bert, _ := r.LoginAs("bert")
	conn := r.echoes(bert)
	theirs := r.Call("DELETE", "/auth/sessions/"+r.Claims(bert)["sid"].(string), "", bearer(anna))
	none := r.Call("DELETE", "/auth/sessions/019aa7a0-0000-7000-8000-000000000000", "", bearer(anna))
	theirs.WantProblem(t, 404, "", "no such session")
	if theirs.Text != none.Text {
		t.Errorf("%s is not %s", theirs.Text, none.Text)
	}
	r.Call("POST", "/auth/logout-everywhere", "", bearer(anna))
	r.WantEcho(conn, "hello")
}

func TestEndingTheOwnSessionByCookieClearsCookies(t *testing.T) {
	r := start(t)
	value, _ := r.LoginCookies()
	sid := r.Call("GET", "/auth/session", "").Decode(t)["sid"].(string)
	if e := r.Call("DELETE", "/auth/sessions/"+sid, "", csrf(value)); e.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", e.StatusCode, e.Text)
	}
	if left := r.Cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %v", left)
	}
}

// TestSessionsOfAUserAreBounded checks that a user cannot fill the store: at
// the limit, the least recently used session ends.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first, firstRefresh := r.Login()
		second, _ := r.Login()
		time.Sleep(time.Millisecond) // the precision of the store: of two sessions used in the same millisecond, either may end
		r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(firstRefresh)))
		conn := r.echoes(second)
		for range maxSessions - 2 {
			r.Login()
		}
		r.Claims(second)
		last, _ := r.Login()
		r.WantClose(conn, 3000, "session_ended")
		r.Call("GET", "/auth/session", "", bearer(second)).WantEnded(t)
		r.Claims(first)
		if n := len(r.list(last)); n != maxSessions {
			t.Errorf("%d sessions, want %d", n, maxSessions)
		}
		r.wantLog("reason=too_many")
	})
}

// TestL13_EndUserClosesEverything checks that users who change their password
// or are removed are logged out at once.
func TestL13_EndUserClosesEverything(t *testing.T) {
	users, path := openUsers(t, "test", "test", "other", "test")
	r := start(t, func(c *setup) { c.Users = users })
	access, refresh := r.Login()
	other, _ := r.LoginAs("other")
	conn, otherConn := r.echoes(access), r.echoes(other)
	usersFile(t, path, "test", "changed")
	changes, err := users.Reload(false)
	changed := changes.Outdated()
	if err != nil || len(changed) != 2 {
		t.Fatal(changed, err)
	}
	for _, name := range changed {
		if sessions, sockets, err := r.s.EndUser(t.Context(), name); sessions != 1 || sockets != 1 || err != nil {
			t.Errorf("%s: %d sessions, %d sockets, %v", name, sessions, sockets, err)
		}
	}
	r.WantClose(conn, 3000, "session_ended")
	r.WantClose(otherConn, 3000, "session_ended")
	r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantEnded(t)
	r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType).WantProblem(t, 401, "bad_credentials", "")
	e := r.Call("POST", "/auth/login", `{"username":"test","password":"changed"}`, jsonType)
	again, _ := r.Renewed(e)
	r.Claims(again)
}

// TestL13_LoginDuringAPasswordChangeDoesNotLive checks that a login gets no
// session if its password is changed while it is being checked.
func TestL13_LoginDuringAPasswordChangeDoesNotLive(t *testing.T) {
	checking, changed := make(chan struct{}), make(chan struct{})
	r := start(t, func(c *setup) {
		c.Users = AuthenticatorFunc(func(context.Context, string, string) (bool, error) {
			close(checking)
			<-changed
			return true, nil
		})
	})
	answers := make(chan logintest.Answer)
	go func() {
		answers <- r.Call("POST", "/auth/login", `{"username":"test","password":"old"}`, jsonType)
	}()
	<-checking
	if _, _, err := r.s.EndUser(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	close(changed)
	e := <-answers
	e.WantProblem(t, 503, "session_ended", "were ended while you logged in; log in again")
	if strings.Contains(e.Text, "token\"") || e.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", e.Header, e.Text)
	}
	if left, err := r.store.ListSessions(t.Context(), "test"); len(left) != 0 || err != nil {
		t.Errorf("%v are left, %v", left, err)
	}
}

// A beginningStore begins a session of the user test with each revocation.
type beginningStore struct{ *memory.Store }

func (s beginningStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	return errors.Join(s.Store.Revoke(ctx, r...), s.begin(ctx, "later", time.Minute))
}

// begin stores a session that starts later.
func (s beginningStore) begin(ctx context.Context, sid string, in time.Duration) error {
	started := time.Now().Add(in)
	return s.BeginSession(ctx, store.Session{ID: sid, Subject: "test", Current: "jti", Started: started, Expires: started.Add(time.Hour), Ends: started.Add(time.Hour)})
}

// TestL13_EndUserLeavesLaterSessions checks that EndUser does not end a session
// that starts later.
func TestL13_EndUserLeavesLaterSessions(t *testing.T) {
	st := beginningStore{memory.New(store.Limits{})}
	r := start(t, func(c *setup) { c.Store = st })
	r.Login()
	if sessions, _, err := r.s.EndUser(t.Context(), "test"); sessions != 1 || err != nil {
		t.Errorf("%d sessions, %v", sessions, err)
	}
	if left, err := st.ListSessions(t.Context(), "test"); len(left) != 1 || err != nil {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestEndEveryone(t *testing.T) {
	r := start(t, func(c *setup) { c.Users = anyone })
	anna, _ := r.LoginAs("anna")
	bert, refresh := r.LoginAs("bert")
	conn := r.echoes(anna)
	if sockets, err := r.s.EndAllBefore(t.Context(), time.Now()); sockets != 1 || err != nil {
		t.Errorf("%d sockets, %v", sockets, err)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(bert)).WantEnded(t)
	r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantEnded(t)
	again, _ := r.LoginAs("anna")
	r.Claims(again)
	if e := r.Call("GET", "/auth/sessions", "", bearer(again)); strings.Count(e.Text, `"sid"`) != 1 {
		t.Errorf("the sessions of anna are %s", e.Text)
	}
}

// A notedStore records revocations.
type notedStore struct {
	*memory.Store
	mu    sync.Mutex
	noted []store.Revocation
}

func (s *notedStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	s.mu.Lock()
	s.noted = append(s.noted, r...)
	s.mu.Unlock()
	return s.Store.Revoke(ctx, r...)
}

// TestEndedSessionsStayEnded checks that the revocation of a session of the
// service is kept as long as its tokens live, and that of any other session as
// long as any token can live.
func TestEndedSessionsStayEnded(t *testing.T) {
	noted := &notedStore{Store: memory.New(store.Limits{})}
	r := start(t, func(c *setup) { c.Store = noted })
	access, _ := r.Login()
	first := r.Claims(access)["sid"].(string)
	if e := r.Call("DELETE", "/auth/sessions/"+first, "", bearer(access)); e.StatusCode != http.StatusOK {
		t.Fatal(e.Text)
	}
	if _, err := r.s.End(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	noted.mu.Lock()
	defer noted.mu.Unlock()
	if len(noted.noted) != 2 {
		t.Fatal(noted.noted)
	}
	for i, least := range []time.Duration{defaultRefreshTTL + defaultAccessTTL, MaxTTL} {
		revocation := noted.noted[i]
		if left := time.Until(revocation.Expires); revocation.Target != store.TargetSession || left < least || left > least+time.Hour {
			t.Errorf("%s %s is kept for %s", revocation.Target, revocation.ID, left)
		}
	}
}

func TestSessionReturnsTheClaims(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	e := r.Call("GET", "/auth/session", "", bearer(access))
	v := e.Decode(t)
	if e.StatusCode != http.StatusOK || v["sub"] != "test" || v["fresh"] != true || v["type"] != "access" {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	r.Call("GET", "/auth/session", "", bearer(refresh)).WantProblem(t, 403, "wrong_token_type", "Only access tokens")
	r.Call("GET", "/auth/session", "").WantProblem(t, 401, "token_missing", "Missing")
}

// An unconfirmedStore has replicas that do not confirm changes.
type unconfirmedStore struct{ *memory.Store }

func (s unconfirmedStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	return errors.Join(s.Store.Revoke(ctx, r...), store.ErrUnconfirmed)
}

func (s unconfirmedStore) BeginSession(ctx context.Context, session store.Session) error {
	return errors.Join(s.Store.BeginSession(ctx, session), store.ErrUnconfirmed)
}

func (s unconfirmedStore) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	session, err := s.Store.RotateSession(ctx, r)
	return session, cmp.Or(err, store.ErrUnconfirmed)
}

func (s unconfirmedStore) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	session, err := s.Store.PresentSession(ctx, p)
	return session, cmp.Or(err, store.ErrUnconfirmed)
}

func (s unconfirmedStore) EndSession(ctx context.Context, subject, id string) error {
	return errors.Join(s.Store.EndSession(ctx, subject, id), store.ErrUnconfirmed)
}

func (s unconfirmedStore) Publish(ctx context.Context, e ...store.Event) error {
	return errors.Join(s.Store.Publish(ctx, e...), store.ErrUnconfirmed)
}

// TestUnconfirmed checks that logins, refreshes and logouts that no replica has
// confirmed succeed for the user and are logged, and that a stolen refresh
// token is still noticed.
func TestUnconfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, refresh := r.Login()
		_, next := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
		r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(next)))
		time.Sleep(time.Minute)
		if e := r.Call("POST", "/auth/refresh", "", bearer(refresh)); e.StatusCode != 401 {
			t.Errorf("a token that was used: %d %s", e.StatusCode, e.Text)
		}
		r.log.WaitFor(t, "refresh_token_reused")
		for _, request := range []struct {
			method, path string
			status       int
		}{{"POST", "/auth/logout", 204}, {"POST", "/auth/logout-everywhere", 200}, {"DELETE", "/auth/sessions/", 200}} {
			access, _ := r.Login()
			if request.method == "DELETE" {
				request.path += r.Claims(access)["sid"].(string)
			}
			if e := r.Call(request.method, request.path, "", bearer(access)); e.StatusCode != request.status {
				t.Errorf("%s: %d %s, want %d", request.path, e.StatusCode, e.Text, request.status)
			}
			r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
			if log := r.log.Take(); !strings.Contains(log, `no replica of the store has confirmed it" user=test`) || strings.Contains(log, "level=ERROR") {
				t.Errorf("%s: the log has %s", request.path, log)
			}
		}
		if left, err := r.s.Sessions(t.Context(), "test"); len(left) != 0 || err != nil {
			t.Errorf("%d sessions are left, %v", len(left), err)
		}
	}, func(c *setup) { c.Store = unconfirmedStore{memory.New(store.Limits{})} })
}

package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A rig is a server that trusts a provider: a guarded socket, and the two
// endpoints of a Handler.
type rig struct {
	server *httptest.Server
	guard  *wsauth.Guard
	sign   signer
	log    *bytes.Buffer
}

func newRig(t *testing.T) rig {
	t.Helper()
	p, s := keycloak(t)
	other, _ := newProvider(t, Config{Issuer: "https://id.example", Audience: []string{"api"}, Namespace: "other"})
	guard, err := wsauth.New(wsauth.Config{Verifier: must(token.NewVerifiers(p.Verifier(), other.Verifier())), Revocations: memory.New(store.Limits{})})
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	h := must(NewHandler(guard, slog.New(slog.NewTextHandler(log, nil)), p, other))
	mux := http.NewServeMux()
	mux.HandleFunc("/logout", h.Logout)
	mux.HandleFunc("/events", h.Event)
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = c.Read(r.Context())
			_ = c.CloseNow()
		}
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := guard.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return rig{server, guard, s, log}
}

// dial opens a socket of a session of a user.
func (r rig) dial(t *testing.T, user, session string) (*websocket.Conn, error) {
	t.Helper()
	raw := r.sign.sign(nil, claims{
		"iss": realm, "aud": "chat", "sub": user, "sid": session, "typ": "Bearer", "jti": "t-" + session, "iat": now(-time.Second), "exp": now(time.Minute),
	})
	c, resp, err := websocket.Dial(t.Context(), r.server.URL+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + raw}}})
	if err == nil {
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, refusal(resp, err)
}

// refusal returns the status and the reason of a refused handshake as an error.
func refusal(resp *http.Response, err error) error {
	if err == nil || resp == nil {
		return err
	}
	var problem struct{ Reason string }
	body, _ := io.ReadAll(resp.Body) // the client keeps only the beginning
	_ = json.Unmarshal(body, &problem)
	return fmt.Errorf("%d %s", resp.StatusCode, problem.Reason)
}

func (r rig) mustDial(t *testing.T, user, session string) *websocket.Conn {
	t.Helper()
	c, err := r.dial(t, user, session)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r rig) post(t *testing.T, path, contentType, body string) (int, string) {
	t.Helper()
	res, err := http.Post(r.server.URL+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer to %s may be cached", path)
	}
	return res.StatusCode, string(must(io.ReadAll(res.Body)))
}

const (
	formType  = "application/x-www-form-urlencoded"
	eventType = "application/secevent+jwt"
)

func form(raw string) string { return url.Values{"logout_token": {raw}}.Encode() }

// wantEnd reads until the socket ends, and checks the reason.
func wantEnd(t *testing.T, c *websocket.Conn) {
	t.Helper()
	_, _, err := c.Read(t.Context())
	if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 3000 || end.Reason != "session_ended" {
		t.Errorf("ended with %v", err)
	}
}

// wantOpen checks that the socket answers a ping.
func wantOpen(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ctx := c.CloseRead(t.Context())
	if err := c.Ping(ctx); err != nil {
		t.Errorf("not open: %v", err)
	}
}

// TestLogoutEndsTheSockets checks that a logout at the provider ends the
// sockets of its session, and no others, and that no new socket of the session
// opens.
func TestLogoutEndsTheSockets(t *testing.T) {
	r := newRig(t)
	first, second, other := r.mustDial(t, "ada", "s1"), r.mustDial(t, "ada", "s2"), r.mustDial(t, "bob", "s3")
	raw := r.sign.sign(claims{"typ": "logout+jwt"}, logoutToken())
	if status, body := r.post(t, "/logout", formType, form(raw)); status != http.StatusOK || body != "" {
		t.Fatalf("got %d %s", status, body)
	}
	wantEnd(t, first)
	if _, err := r.dial(t, "ada", "s1"); err == nil || err.Error() != "401 token_revoked" {
		t.Errorf("a session that has ended opens a socket: %v", err)
	}
	if status, _ := r.post(t, "/logout", formType, form(raw)); status != http.StatusBadRequest {
		t.Errorf("sent again: %d", status)
	}
	raw = r.sign.sign(claims{"typ": "logout+jwt"}, with(logoutToken(), claims{"jti": "logout-2", "sid": nil}))
	if status, _ := r.post(t, "/logout", formType, form(raw)); status != http.StatusOK {
		t.Errorf("of the user: %d", status)
	}
	wantEnd(t, second)
	wantOpen(t, other)
	if strings.Contains(r.log.String(), raw) || !strings.Contains(r.log.String(), "ended by its provider") {
		t.Errorf("the log is %s", r.log)
	}
}

// TestEventEndsTheSockets checks that an event ends the sockets of its session.
// A replay is acknowledged, as RFC 8935 requires, and ignored.
func TestEventEndsTheSockets(t *testing.T) {
	r := newRig(t)
	first, other := r.mustDial(t, "ada", "s1"), r.mustDial(t, "bob", "s2")
	raw := r.sign.sign(claims{"typ": "secevent+jwt"}, eventToken(claims{"format": "iss_sub", "iss": realm, "sub": "ada"}, claims{caep + "session-revoked": claims{}}))
	if status, body := r.post(t, "/events", eventType, raw); status != http.StatusAccepted || body != "" {
		t.Fatalf("got %d %s", status, body)
	}
	wantEnd(t, first)
	if status, _ := r.post(t, "/events", eventType, raw); status != http.StatusAccepted {
		t.Errorf("sent again: %d", status)
	}
	if n := strings.Count(r.log.String(), "ended by its provider"); n != 1 {
		t.Errorf("processed %d times", n)
	}
	wantOpen(t, other)
}

// TestLogoutReplayAtOnce checks that a logout token that is sent a hundred
// times concurrently is processed once.
func TestLogoutReplayAtOnce(t *testing.T) {
	r := newRig(t)
	body := form(r.sign.sign(nil, logoutToken()))
	var all sync.WaitGroup
	applied := make(chan int, 100)
	for range 100 {
		all.Go(func() {
			status, _ := r.post(t, "/logout", formType, body)
			applied <- status
		})
	}
	all.Wait()
	close(applied)
	n := 0
	for status := range applied {
		switch status {
		case http.StatusOK:
			n++
		case http.StatusBadRequest:
		default:
			t.Errorf("status %d", status)
		}
	}
	if n != 1 {
		t.Errorf("processed %d times", n)
	}
}

// TestHandlerRefusals checks that an invalid statement ends nothing. The answer
// is an error of the protocol that contains nothing from the statement.
func TestHandlerRefusals(t *testing.T) {
	r := newRig(t)
	socket := r.mustDial(t, "ada", "s1")
	good := r.sign.sign(nil, logoutToken())
	event := r.sign.sign(claims{"typ": "secevent+jwt"}, eventToken(claims{"format": "opaque", "id": "s1"}, claims{caep + "session-revoked": claims{}}))
	foreign := newSigner().sign(claims{"typ": "secevent+jwt"}, eventToken(claims{"format": "opaque", "id": "s1"}, claims{caep + "session-revoked": claims{}}))
	unknown := r.sign.sign(nil, with(logoutToken(), claims{"iss": "https://evil.example"}))
	sibling := r.sign.sign(nil, with(logoutToken(), claims{"iss": "https://id.example"})) // by a key of another provider
	for name, tt := range map[string]struct {
		path, contentType, body string
		status                  int
		answer                  string
	}{
		"no form":             {"/logout", "application/json", good, 415, "Content-Type"},
		"empty form":          {"/logout", formType, "", 400, "logout_token"},
		"twice":               {"/logout", formType, form(good) + "&" + form(good), 400, "once"},
		"not a token":         {"/logout", formType, form("x"), 400, "invalid_request"},
		"an event":            {"/logout", formType, form(event), 400, "invalid_request"},
		"too long":            {"/logout", formType, form(strings.Repeat("a", maxBody)), 413, "64 KiB"},
		"unknown issuer":      {"/logout", formType, form(unknown), 400, "invalid_request"},
		"key of another":      {"/logout", formType, form(sibling), 400, "invalid_request"},
		"in JSON":             {"/events", "application/json", event, 415, "secevent"},
		"no event":            {"/events", eventType, "x", 400, `"err":"invalid_request"`},
		"a logout":            {"/events", eventType, good, 400, `"err":"invalid_request"`},
		"by another":          {"/events", eventType, foreign, 400, `"err":"invalid_key"`},
		"of an unknown":       {"/events", eventType, unknown, 400, `"err":"invalid_issuer"`},
		"for another":         {"/events", eventType, r.sign.sign(claims{"typ": "secevent+jwt"}, with(eventToken(nil, claims{}), claims{"aud": "x"})), 400, `"err":"invalid_audience"`},
		"too long an event":   {"/events", eventType, strings.Repeat("a", maxBody+1), 413, "64 KiB"},
		"nothing that we end": {"/events", eventType, r.sign.sign(claims{"typ": "secevent+jwt"}, eventToken(claims{"format": "email"}, claims{caep + "session-revoked": claims{}})), 400, "invalid_request"},
	} {
		status, body := r.post(t, tt.path, tt.contentType, tt.body)
		if status != tt.status || !strings.Contains(body, tt.answer) || len(body) > 200 {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
	res, err := http.Get(r.server.URL + "/logout")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	wantOpen(t, socket)
}

// A brokenGuard cannot reach its store.
type brokenGuard struct{ err error }

func (g brokenGuard) Revoke(context.Context, ...store.Revocation) (int, error) { return 0, g.err }
func (g brokenGuard) Revoked(context.Context, *token.Claims) (bool, error)     { return false, nil }

// TestHandlerWithoutStore checks that the provider must send a statement again
// if it could not be processed.
func TestHandlerWithoutStore(t *testing.T) {
	p, s := keycloak(t)
	h := must(NewHandler(brokenGuard{errors.New("down")}, nil, p))
	for _, tt := range []struct {
		serve             http.HandlerFunc
		contentType, body string
	}{
		{h.Logout, formType, form(s.sign(nil, logoutToken()))},
		{h.Event, eventType, s.sign(claims{"typ": "secevent+jwt"}, eventToken(claims{"format": "opaque", "id": "s1"}, claims{caep + "session-revoked": claims{}}))},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		tt.serve(w, r)
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "down") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
}

// A flakyLog accepts no revocations while it is full.
type flakyLog struct {
	*memory.Store
	full atomic.Bool
}

func (l *flakyLog) Revoke(ctx context.Context, r ...store.Revocation) error {
	if l.full.Load() {
		return store.ErrFull
	}
	return l.Store.Revoke(ctx, r...)
}

// TestHandlerWithAFullStore checks that if the sessions of a statement have
// ended on this node only, the provider must send the statement again. It is
// then processed again, because this node may have lost the revocations.
func TestHandlerWithAFullStore(t *testing.T) {
	p, s := keycloak(t)
	log := &flakyLog{Store: memory.New(store.Limits{})}
	guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: log}))
	defer func() {
		if err := guard.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	h := must(NewHandler(guard, nil, p))
	raw := form(s.sign(nil, logoutToken()))
	send := func() int {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(raw))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		h.Logout(w, r)
		return w.Code
	}
	log.full.Store(true)
	for range 2 {
		if code := send(); code != http.StatusServiceUnavailable {
			t.Errorf("while the store is full: %d", code)
		}
	}
	if guard.Stats().Held == 0 {
		t.Error("the session has not ended on this node")
	}
	log.full.Store(false)
	if code := send(); code != http.StatusOK {
		t.Errorf("once there is room: %d", code)
	}
	if code := send(); code != http.StatusBadRequest {
		t.Errorf("sent once more: %d", code)
	}
}

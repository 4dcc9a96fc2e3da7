package wsauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A witness is an Observer that records its calls.
type witness chan string

func (w witness) Refused(r *http.Request, e *wsauth.Error) {
	w <- fmt.Sprint("refused ", r.URL.Path, " ", e.Reason)
}

func (w witness) Opened(s *wsauth.Socket) { w <- "opened " + s.Claims().Subject }

func (w witness) Renewed(s *wsauth.Socket) { w <- "renewed " + s.Claims().ID }

func (w witness) Ended(s *wsauth.Socket, e *wsauth.EndError) {
	w <- fmt.Sprint("ended ", s.Claims().Subject, " ", e.Code, " ", e.Reason)
}

func (w witness) Revoked(revocations []store.Revocation, sockets int, _ time.Duration) {
	w <- fmt.Sprint("revoked ", revocations[0].Target, " ", sockets)
}

func (w witness) saw(t *testing.T, want ...string) {
	t.Helper()
	for _, line := range want {
		select {
		case got := <-w:
			if got != line {
				t.Errorf("notified of %q, want %q", got, line)
			}
		case <-time.After(patience):
			t.Fatalf("not notified of %q", line)
		}
	}
}

// TestObserver checks that an observer is notified of each refusal, and when a
// socket opens, is renewed and ends, but not of plain requests that pass.
func TestObserver(t *testing.T) {
	told := make(witness, 100)
	guard, issuer := newGuard(wsauth.Config{Revocations: memory.New(store.Limits{}), Observer: told})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			if wsauth.Hold(r.Context()) == nil {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		case "/socket":
			chat(w, r)
		}
	})))
	defer server.Close()
	sid := store.NewSessionID(time.Now())
	access := mustIssue(issuer.Access("ada", token.Options{SessionID: sid}))
	header := http.Header{"Authorization": {"Bearer " + access.Raw}}
	get := func(path string, h http.Header) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}

	get("/", nil)
	get("/", header)
	if _, _, err := websocket.Dial(t.Context(), server.URL+"/socket", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer x"}}}); err == nil {
		t.Error("a bad token opens a socket")
	}
	told.saw(t, "refused / token_missing", "refused /socket token_invalid")

	conn := open(server.URL+"/socket", header)
	told.saw(t, "opened ada")
	next := mustIssue(issuer.Access("ada", token.Options{SessionID: sid}))
	if n, err := guard.Renew(t.Context(), next.Raw); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	told.saw(t, "renewed "+next.Claims.ID)
	_ = conn.Close(websocket.StatusNormalClosure, "bye")
	told.saw(t, "ended ada 1000 closed")

	open(server.URL+"/socket", header).CloseRead(t.Context())
	told.saw(t, "opened ada")
	get("/events", header)
	told.saw(t, "opened ada")
	if sockets, err := guard.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: sid, Expires: time.Now().Add(time.Hour)}); err != nil || sockets != 2 {
		t.Fatal(sockets, err)
	}
	got := []string{<-told, <-told, <-told}
	slices.Sort(got)
	if want := []string{"ended ada 3000 session_ended", "ended ada 3000 session_ended", "revoked session 2"}; !slices.Equal(got, want) {
		t.Errorf("notified of %q, want %q", got, want)
	}
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Errorf("notified of more: %q", <-told)
	}
}

// TestDrain checks that a guard that drains admits no socket, ends the open
// ones, and serves plain requests as before.
func TestDrain(t *testing.T) {
	guard, issuer := newGuard(wsauth.Config{Revocations: memory.New(store.Limits{})})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			chat(w, r)
		}
	})))
	defer server.Close()
	header := http.Header{"Authorization": {"Bearer " + mustIssue(issuer.Access("ada", token.Options{})).Raw}}
	conn := open(server.URL, header)
	if say(conn, "hello") != "ada says hello" {
		t.Error("no answer")
	}
	if err := guard.Ready(); err != nil {
		t.Errorf("before: %v", err)
	}
	drained := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- guard.Drain(ctx)
	}()
	_, _, err := conn.Read(t.Context())
	if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 1012 || end.Reason != "restarting" {
		t.Errorf("ended with %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := guard.Ready(); !errors.Is(err, wsauth.Restarting) {
		t.Errorf("after: %v", err)
	}
	if _, answer, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPHeader: header}); err == nil || answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new socket: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = header
	if _, err := guard.Check(r, wsauth.Access); err != nil {
		t.Errorf("a plain request: %v", err)
	}
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := guard.Check(r, wsauth.Access); !errors.Is(err, wsauth.Restarting) {
		t.Errorf("a plain request after Shutdown: %v", err)
	}
}

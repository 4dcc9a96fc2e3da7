package wsauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestObserverOfOpenings checks that observer and log are notified once when
// the handler opens a socket, and never when a socket ends that was not opened.
func TestObserverOfOpenings(t *testing.T) {
	var guard *wsauth.Guard
	handlers := map[string]struct {
		serve http.HandlerFunc
		told  []string
	}{
		"socket": {chat, []string{"opened ada", "ended ada 1000 closed"}},
		"hijack": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, []string{"opened ada", "ended ada 1000 closed"}},
		"declined": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, nil},
		"nothing":  {func(http.ResponseWriter, *http.Request) {}, nil},
		"interim":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }, nil},
		"panic":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil},
		"refused": {func(w http.ResponseWriter, r *http.Request) {
			guard.Refuse(struct{ http.ResponseWriter }{w}, r, &wsauth.Error{Reason: wsauth.BadGateway})
		}, []string{"refused /refused bad_gateway"}},
		"refused directly": {func(w http.ResponseWriter, r *http.Request) {
			guard.Refuse(w, r, &wsauth.Error{Reason: wsauth.BadGateway})
		}, []string{"refused /refused directly bad_gateway"}},
		"ended": {func(_ http.ResponseWriter, r *http.Request) {
			socket := wsauth.SocketFrom(r.Context())
			socket.End(wsauth.TokenRevoked)
		}, []string{"refused /ended token_revoked"}},
		"too late": {func(w http.ResponseWriter, r *http.Request) {
			socket := wsauth.SocketFrom(r.Context())
			socket.End(wsauth.TokenRevoked)
			<-r.Context().Done()
			chat(w, r)
		}, nil},
	}
	for _, how := range []wsauth.Refusal{wsauth.RefuseHTTP, wsauth.RefuseClose} {
		for name, c := range handlers {
			t.Run(name, func(t *testing.T) {
				told, lines := make(witness, 100), &wstest.Log{}
				var issuer *token.Issuer
				guard, issuer = newGuard(wsauth.Config{
					Revocations: memory.New(store.Limits{}), Observer: told, Refusal: how, Logger: slog.New(slog.NewTextHandler(lines, nil)),
				})
				server := httptest.NewServer(guard.Require(wsauth.Access)(c.serve))
				defer server.Close()
				header := http.Header{"Authorization": {"Bearer " + mustIssue(issuer.Access("ada", token.Options{})).Raw}}
				conn, _, err := websocket.Dial(t.Context(), server.URL+"/"+strings.ReplaceAll(name, " ", "%20"), &websocket.DialOptions{HTTPHeader: header})
				if err == nil {
					_ = conn.CloseNow()
				}
				told.saw(t, c.told...)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := guard.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				if len(told) > 0 {
					t.Errorf("notified of more: %q", <-told)
				}
				want := 0
				if len(c.told) == 2 {
					want = 1
				}
				if opened, ended := strings.Count(lines.String(), `msg="socket opened"`), strings.Count(lines.String(), `msg="socket ended"`); opened != want || ended != want {
					t.Errorf("%d opened and %d ended in the log, want %d", opened, ended, want)
				}
			})
		}
	}
}

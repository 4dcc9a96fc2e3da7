package wsauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// lineOf returns the one line of a log that has all of these parts.
func lineOf(t *testing.T, log *wstest.Log, parts ...string) string {
	t.Helper()
	text := log.String()
	var found []string
	for line := range strings.Lines(text) {
		has := true
		for _, part := range parts {
			has = has && strings.Contains(line, part)
		}
		if has {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines have %q: %s", len(found), parts, text)
	}
	return found[0]
}

// A verifierOf accepts every token, with these claims.
type verifierOf token.Claims

func (v verifierOf) Verify(context.Context, string) (*token.Claims, error) {
	claims := token.Claims(v)
	now := time.Now()
	claims.Type, claims.IssuedAt, claims.ExpiresAt = token.TypeAccess, now, now.Add(time.Hour)
	return &claims, nil
}

// An ending is an Observer whose channel is closed when a socket ends.
type ending chan struct{}

func (ending) Refused(*http.Request, *wsauth.Error)           {}
func (ending) Opened(*wsauth.Socket)                          {}
func (ending) Renewed(*wsauth.Socket)                         {}
func (e ending) Ended(*wsauth.Socket, *wsauth.EndError)       { close(e) }
func (ending) Revoked([]store.Revocation, int, time.Duration) {}

// TestSocketLines checks that the lines of a socket contain its user and its
// session, cut and escaped, as soon as they are known.
func TestSocketLines(t *testing.T) {
	sid := store.NewSessionID(time.Now())
	hostile := "mallory\nlevel=INFO msg=\"socket opened\" user=root\r\x1b[31m\u202e" + strings.Repeat("x", 200)
	for name, c := range map[string]struct {
		extractors []wsauth.Extractor
		require    wsauth.Requirement
		subject    string
		sid        string
		first      bool // the token comes in the first message
		want       []string
	}{
		"header":        {nil, wsauth.Access, "ada", sid, false, []string{" user=ada ", " session=" + sid + " "}},
		"no session":    {nil, wsauth.Access, "ada", "", false, []string{" user=ada "}},
		"anonymous":     {nil, wsauth.Optional, "", "", false, nil},
		"first message": {[]wsauth.Extractor{wsauth.FirstMessage{}}, wsauth.Access, "ada", sid, true, []string{" user=ada ", " session=" + sid + " "}},
		"later message": {[]wsauth.Extractor{wsauth.Header{}, wsauth.FirstMessage{}}, wsauth.Optional, "ada", sid, true, []string{" user=ada ", " session=" + sid + " "}},
		"hostile":       {nil, wsauth.Access, hostile, strings.Repeat("s", 100), false, []string{` user="mallory` + "\uFFFD" + `level=INFO msg=\"socket opened\" user=root`, " session=" + strings.Repeat("s", 64) + "… "}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ended := &wstest.Log{}, make(ending)
			guard, err := wsauth.New(wsauth.Config{
				Observer:   ended,
				Verifier:   verifierOf(token.Claims{Subject: c.subject, SessionID: c.sid}),
				Extractors: c.extractors, Revocations: memory.New(store.Limits{}), Logger: slog.New(slog.NewTextHandler(lines, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(guard.Require(c.require)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				defer conn.CloseNow()
				socket := wsauth.SocketFrom(r.Context())
				for {
					_, message, err := conn.Read(r.Context())
					if err != nil {
						return
					}
					reply, err := socket.Authenticate(r.Context(), message)
					if err != nil || conn.Write(r.Context(), websocket.MessageText, reply) != nil {
						return
					}
				}
			})))
			defer server.Close()
			raw, header := "", http.Header{}
			if c.subject != "" {
				raw = "not-for-the-log"
			}
			if raw != "" && !c.first {
				header.Set("Authorization", "Bearer "+raw)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if c.first {
				if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"auth","token":"`+raw+`"}`)); err != nil {
					t.Fatal(err)
				}
				if _, reply, err := conn.Read(ctx); err != nil || !strings.Contains(string(reply), "auth_ok") {
					t.Fatalf("%s, %v", reply, err)
				}
			}
			_ = conn.CloseNow()
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatal("the socket does not end")
			}
			if err := guard.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			opened := lineOf(t, lines, `msg="socket opened"`, "remote=")
			check := map[string]string{"opened": opened, "ended": lineOf(t, lines, `msg="socket ended"`, "remote=")}
			if c.first {
				delete(check, "opened")
				check["authenticated"] = lineOf(t, lines, `msg="socket authenticated"`, "remote=")
				if strings.Contains(opened, "user=") {
					t.Errorf("the user is named before it is known: %s", opened)
				}
			}
			for what, line := range check {
				if strings.Contains(line, "socket ended: ") { // the reason has an attribute of its own
					t.Errorf("%s repeats the reason: %s", what, line)
				}
				for _, part := range c.want {
					if !strings.Contains(strings.ReplaceAll(line, "\n", " "), part) {
						t.Errorf("%s lacks %q: %s", what, part, line)
					}
				}
				if strings.ContainsAny(line, "\r\x1b\u202e") || strings.Contains(line, strings.Repeat("x", 100)) {
					t.Errorf("%s holds a name unescaped or uncut: %q", what, line)
				}
				if c.subject == "" && strings.Contains(line, "user=") || c.sid == "" && strings.Contains(line, "session=") {
					t.Errorf("%s contains an empty attribute: %s", what, line)
				}
				if raw != "" && strings.Contains(line, raw) {
					t.Errorf("%s holds the token", what)
				}
			}
		})
	}
}

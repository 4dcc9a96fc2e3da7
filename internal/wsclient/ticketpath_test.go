package wsclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestTicketIsForThePathThatIsSent checks that the ticket is for the path as
// the handshake sends it, not for its decoded form.
func TestTicketIsForThePathThatIsSent(t *testing.T) {
	for path, want := range map[string]string{
		"/ws":       `"/ws"`,
		"/a%2Fb":    `"/a%2Fb"`,
		"/a%2fb|c":  `"/a%2fb|c"`,
		"/rooms/日本": `"/rooms/日本"`,
		"/%2541":    `"/%2541"`,
	} {
		requests := make(chan string, 1)
		handlers := logins("900")
		handlers["POST /auth/ticket"] = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			requests <- string(body)
			w.WriteHeader(http.StatusForbidden)
		}
		r := newRig(t, handlers)
		target, err := ParseTarget(strings.TrimSuffix(r.config.Target.Socket.String(), "/ws")+path, "/auth")
		if err != nil {
			t.Fatal(err)
		}
		r.config.Target, r.config.User, r.config.Password, r.config.Via = target, "ada", "x", Via{InTicket, "ticket"}
		if err := r.run(); err == nil {
			t.Error("a socket without a ticket")
		}
		if got := <-requests; !strings.Contains(got, want) {
			t.Errorf("%s: asked for %s", path, got)
		}
	}
}

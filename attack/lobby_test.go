package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"wsauth"
)

// lobbies are handlers whose clients authenticate with their first message,
// one for each library.
var lobbies = map[string]func(x *bubble, w http.ResponseWriter, r *http.Request){
	"coder": (*bubble).serveCoder, "gorilla": (*bubble).serveGorilla, "gws": (*bubble).serveGWS,
}

func lobbyConfig() wsauth.Config {
	return wsauth.Config{Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}, Origins: []string{origin}}
}

// inLobby runs f with a target whose clients authenticate with their first
// message. At the end the application must have been given no message that f
// did not expect.
func inLobby(t *testing.T, library string, config func() wsauth.Config, f func(t *testing.T, x *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x, stop := newBubble(t, config(), func(x *bubble) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { lobbies[library](x, w, r) }
		})
		f(t, x)
		time.Sleep(2 * time.Second) // the server notices clients that have gone
		stop()
		close(x.heard)
		for heard := range x.heard {
			t.Errorf("the application was given %.100q", heard)
		}
	})
}

// take handles a message as an application should. It returns the answer, or
// the code to close the socket with.
func (x *bubble) take(s *wsauth.Socket, text bool, message []byte) (answer []byte, code int) {
	if s.Claims() == nil && !text {
		return nil, 1003
	}
	reply, err := s.Authenticate(context.Background(), message)
	switch {
	case reply != nil:
		return reply, 0
	case err != nil:
		return nil, 0 // the next read fails
	}
	who := "nobody"
	if claims := s.Claims(); claims != nil {
		who = claims.Subject
	}
	x.heard <- who + ": " + string(message)
	return []byte("heard"), 0
}

func (x *bubble) serveCoder(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20) // the guard's limit for first messages is lower
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		answer, code := x.take(socket, kind == coder.MessageText, message)
		if code != 0 {
			_ = conn.Close(coder.StatusCode(code), "")
			return
		}
		if answer != nil {
			_ = conn.Write(context.Background(), coder.MessageText, answer)
		}
	}
}

func (x *bubble) serveGorilla(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		answer, code := x.take(socket, kind == gorilla.TextMessage, message)
		if code != 0 {
			_ = conn.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, ""))
			return
		}
		if answer != nil {
			_ = conn.WriteMessage(gorilla.TextMessage, answer)
		}
	}
}

// A gwsTaker implements gws.Event.
type gwsTaker struct {
	gws.BuiltinEventHandler
	bubble  *bubble
	session *wsauth.Socket
}

func (g *gwsTaker) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	answer, code := g.bubble.take(g.session, message.Opcode == gws.OpcodeText, message.Bytes())
	if code != 0 {
		_ = conn.WriteClose(uint16(code), nil)
		return
	}
	if answer != nil {
		_ = conn.WriteMessage(gws.OpcodeText, answer)
	}
}

func (x *bubble) serveGWS(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := gws.NewUpgrader(&gwsTaker{bubble: x, session: socket}, nil).Upgrade(w, r)
	if err != nil {
		return
	}
	conn.ReadLoop()
}

// auth returns a message with a token, which may hold any bytes.
func auth(tok string) string { return fmt.Sprintf(`{"type":"auth","token":%s}`, quoted(tok)) }

func initPayload(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"token":%s}}`, quoted(tok))
}

func initHeader(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":%s}}`, quoted("Bearer "+tok))
}

// quoted returns s as a JSON string. If s is not UTF-8, it is quoted as it is.
func quoted(s string) string {
	if !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return string(sure(json.Marshal(s)))
}

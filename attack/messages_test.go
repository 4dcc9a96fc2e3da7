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

// firstMessageHandlers contains a handler for each WebSocket library. The
// clients of these handlers authenticate with their first message.
var firstMessageHandlers = map[string]func(x *bubble, w http.ResponseWriter, r *http.Request){
	"coder": (*bubble).serveCoder, "gorilla": (*bubble).serveGorilla, "gws": (*bubble).serveGWS,
}

func firstMessageConfig() wsauth.Config {
	return wsauth.Config{Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}, Origins: []string{origin}}
}

// inMessageBubble runs f with a target whose clients authenticate with their
// first message. When f returns, it must have received all messages that the
// application got.
func inMessageBubble(t *testing.T, library string, config func() wsauth.Config, f func(t *testing.T, x *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x, stop := newBubble(t, config(), func(x *bubble) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { firstMessageHandlers[library](x, w, r) }
		})
		f(t, x)
		time.Sleep(2 * time.Second) // until the server has noticed the clients that have left
		stop()
		close(x.messages)
		for message := range x.messages {
			t.Errorf("the application got %.100q, want no more messages", message)
		}
	})
}

// handleMessage handles a message as an application should. It returns the
// answer, or the code with which to close the socket.
func (x *bubble) handleMessage(s *wsauth.Socket, text bool, message []byte) (answer []byte, code int) {
	if s.Claims() == nil && !text {
		return nil, 1003
	}
	reply, err := s.Authenticate(context.Background(), message)
	switch {
	case reply != nil:
		return reply, 0
	case err != nil:
		return nil, 0 // the guard has closed the socket, so the next read fails
	}
	sender := "anonymous"
	if claims := s.Claims(); claims != nil {
		sender = claims.Subject
	}
	x.messages <- sender + ": " + string(message)
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
		answer, code := x.handleMessage(socket, kind == coder.MessageText, message)
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
		answer, code := x.handleMessage(socket, kind == gorilla.TextMessage, message)
		if code != 0 {
			_ = conn.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, ""))
			return
		}
		if answer != nil {
			_ = conn.WriteMessage(gorilla.TextMessage, answer)
		}
	}
}

// A gwsHandler implements gws.Event.
type gwsHandler struct {
	gws.BuiltinEventHandler
	bubble *bubble
	socket *wsauth.Socket
}

func (g *gwsHandler) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	answer, code := g.bubble.handleMessage(g.socket, message.Opcode == gws.OpcodeText, message.Bytes())
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
	conn, err := gws.NewUpgrader(&gwsHandler{bubble: x, socket: socket}, nil).Upgrade(w, r)
	if err != nil {
		return
	}
	conn.ReadLoop()
}

// auth returns a first message with a token, which may contain any bytes.
func auth(tok string) string { return fmt.Sprintf(`{"type":"auth","token":%s}`, quoted(tok)) }

func initPayload(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"token":%s}}`, quoted(tok))
}

func initHeader(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":%s}}`, quoted("Bearer "+tok))
}

// quoted returns s as a JSON string. If s is not UTF-8, it returns the bytes
// unescaped.
func quoted(s string) string {
	if !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return string(must(json.Marshal(s)))
}

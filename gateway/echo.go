package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
)

const (
	maxMessage   = 32 << 10         // bytes of a message to the echo socket; more is close code 1009
	writeTimeout = 10 * time.Second // for a client that does not read
)

// errNotText ends the socket of a client that sends binary messages.
var errNotText = errors.New("gateway: not a text message")

// A welcome is the first message on the socket: it says that the handshake was accepted, for whom and until when.
type welcome struct {
	Type      string         `json:"type"` // always "welcome"
	Claims    jsontext.Value `json:"claims"`
	ExpiresAt int64          `json:"expires_at"` // seconds since 1970
}

// upgradesOnly answers 426 to a plain request for the socket, as to a link that a person follows. HEAD is one always: an upgrade
// is a GET (RFC 6455 section 4.1), and any other may be ignored (RFC 9110 section 7.8).
func upgradesOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" || r.Method == http.MethodHead {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
			problem(http.StatusUpgradeRequired, "invalid_handshake", "This address is a WebSocket: open it with a WebSocket client")(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// echo is the handler behind the guard on /ws. It knows nothing of tokens and expiry: the guard ends the socket.
func (g *Gateway) echo(w http.ResponseWriter, r *http.Request) {
	session, _ := wsauth.SessionFrom(r.Context())
	claims := session.Claims()
	// The guard has checked the Origin already, by the gateway's own list.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	hello, err := json.Marshal(welcome{"welcome", claims.Payload(), claims.ValidUntil().Unix()})
	if err != nil {
		panic(err) // the payload was JSON when it was verified
	}
	err = write(r.Context(), conn, hello)
	for err == nil {
		err = echoOne(r.Context(), conn)
	}
}

// echoOne sends one text message back.
func echoOne(ctx context.Context, conn *websocket.Conn) error {
	kind, message, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	if kind != websocket.MessageText {
		_ = conn.Close(websocket.StatusUnsupportedData, "text_only") // the loop ends either way
		return errNotText
	}
	return write(ctx, conn, message)
}

// write sends a text message, unless the client does not read.
func write(ctx context.Context, conn *websocket.Conn, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, message)
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
)

const (
	maxMessage   = 32 << 10         // bytes of a message to the echo socket; more is close code 1009
	maxCommand   = 256              // bytes of a message that asks for more than an echo
	writeTimeout = 10 * time.Second // for a client that does not read
	stepUpWait   = time.Minute      // for a person who is asked for a password
)

// errNotText ends the socket of a client that sends binary messages.
var errNotText = errors.New("gateway: not a text message")

// An identity is the first message on the socket, which says that the handshake was accepted, for whom and until when; and the
// answer to who asks again.
type identity struct {
	Type      string         `json:"type"` // "welcome" or "whoami"
	Claims    jsontext.Value `json:"claims"`
	ExpiresAt int64          `json:"expires_at"` // seconds since 1970
}

// A notice is any other message of the server's own.
type notice struct {
	Type      string `json:"type"`                // "renewed", "fresh_required" or "fresh_ok"
	ExpiresAt int64  `json:"expires_at,omitzero"` // of "renewed"
}

// upgradesOnly answers 426 to a plain request for the socket, as to a link that a person follows. HEAD is one always: an upgrade
// is a GET (RFC 6455 section 4.1), and any other may be ignored (RFC 9110 section 7.8).
func upgradesOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" || r.Method == http.MethodHead {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
			problemHandler(http.StatusUpgradeRequired, "invalid_handshake", "This address is a WebSocket: open it with a WebSocket client")(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// An echoSocket sends text messages back, but for the few that ask something of it. It shows what a handler behind a guard has to
// do, which is little: the guard ends the socket.
type echoSocket struct {
	socket  *wsauth.Socket
	conn    *websocket.Conn
	asked   chan struct{}  // holds a value while a person is asked for a password
	helpers sync.WaitGroup // goroutines that write too
}

// echo serves a socket whose request has the context of a guarded one.
func echo(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	// The guard has checked the Origin already, by the gateway's own list.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	e := &echoSocket{socket: socket, conn: conn, asked: make(chan struct{}, 1)}
	defer e.helpers.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	renewed := socket.Renewed() // before the claims of the welcome are looked at, so that none is missed
	err = e.send(ctx, e.identity("welcome"))
	e.helpers.Go(func() { e.tellRenewals(ctx, renewed) })
	for err == nil {
		err = e.answerOne(ctx)
	}
}

// answerOne reads one text message and answers it.
func (e *echoSocket) answerOne(ctx context.Context) error {
	kind, message, err := e.conn.Read(ctx)
	if err != nil {
		return err
	}
	if kind != websocket.MessageText {
		_ = e.conn.Close(websocket.StatusUnsupportedData, "text_only") // the loop ends either way
		return errNotText
	}
	// A client that has a newer token sends it here, instead of opening another socket.
	reply, err := e.socket.Authenticate(ctx, message)
	if err != nil {
		return err
	}
	if reply != nil {
		return e.write(ctx, reply)
	}
	switch command(message) {
	case "whoami":
		return e.send(ctx, e.identity("whoami"))
	case "step-up":
		return e.stepUp(ctx)
	}
	return e.write(ctx, message)
}

// command is what a message asks for; "" where it asks for its echo only.
func command(message []byte) string {
	var c struct {
		Type string `json:"type"`
	}
	if len(message) > maxCommand || json.Unmarshal(message, &c, json.RejectUnknownMembers(true)) != nil {
		return ""
	}
	return c.Type
}

// stepUp is what a handler does before something that a stolen session must not be enough for. The wait is elsewhere, for the
// client may send the fresh token on this socket. Who is asked already is not asked twice.
func (e *echoSocket) stepUp(ctx context.Context) error {
	if e.socket.Claims().Fresh {
		return e.send(ctx, notice{Type: "fresh_ok"})
	}
	select {
	case e.asked <- struct{}{}:
	default:
		return nil
	}
	if err := e.send(ctx, notice{Type: "fresh_required"}); err != nil {
		return err
	}
	e.helpers.Go(func() {
		defer func() { <-e.asked }()
		ctx, cancel := context.WithTimeout(ctx, stepUpWait)
		defer cancel()
		if e.socket.RequireFresh(ctx) == nil {
			_ = e.send(ctx, notice{Type: "fresh_ok"}) // the reader finds out when the socket is gone
		}
	})
	return nil
}

// tellRenewals tells the client of each new expiry, also of one that came by another way than this socket.
func (e *echoSocket) tellRenewals(ctx context.Context, renewed <-chan struct{}) {
	for {
		select {
		case <-renewed:
		case <-ctx.Done():
			return
		}
		renewed = e.socket.Renewed()
		if e.send(ctx, notice{Type: "renewed", ExpiresAt: e.socket.Claims().ValidUntil().Unix()}) != nil {
			return
		}
	}
}

func (e *echoSocket) identity(kind string) identity {
	claims := e.socket.Claims()
	return identity{kind, claims.Payload(), claims.ValidUntil().Unix()}
}

func (e *echoSocket) send(ctx context.Context, v any) error {
	message, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is one of the messages above; a payload was JSON when it was verified
	}
	return e.write(ctx, message)
}

// write sends a text message, unless the client does not read.
func (e *echoSocket) write(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return e.conn.Write(ctx, websocket.MessageText, message)
}

package demo

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

// MaxMessage is the maximum length of a message, in bytes. A longer one ends
// the socket with code 1009.
const MaxMessage = 32 << 10

const (
	maxCommand   = 256              // in bytes; longer messages are echoed without parsing
	writeTimeout = 10 * time.Second // for a client that does not read
	stepUpWait   = time.Minute      // for a person who is asked for a password
)

// errNotText is the error of a socket whose client sent a binary message.
var errNotText = errors.New("demo: not a text message")

// An identity is the first message on the socket. It shows that the handshake
// was accepted, with which claims, and when they expire. It is also the answer
// to a "whoami" message.
type identity struct {
	Type      string         `json:"type"` // "welcome" or "whoami"
	Claims    jsontext.Value `json:"claims"`
	ExpiresAt int64          `json:"expires_at"` // seconds since 1970
}

// A notice is any other message from the server.
type notice struct {
	Type      string `json:"type"`                // "renewed", "fresh_required" or "fresh_ok"
	ExpiresAt int64  `json:"expires_at,omitzero"` // for "renewed"
}

// An echoSocket echoes text messages, except for a few commands. It shows how
// little a handler behind a guard has to do: the guard ends the socket.
type echoSocket struct {
	socket  *wsauth.Socket
	conn    *websocket.Conn
	asking  chan struct{}  // full while a person is asked for a password
	helpers sync.WaitGroup // other goroutines that write
}

// echo serves a socket. The context of r must be that of the guarded request.
func echo(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	// The guard has already checked Origin against the gateway's list.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(MaxMessage)
	e := &echoSocket{socket: socket, conn: conn, asking: make(chan struct{}, 1)}
	defer e.helpers.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// This comes before the welcome reads the claims, so that no renewal is
	// missed.
	renewed := socket.Renewed()
	err = e.send(ctx, e.identity("welcome"))
	e.helpers.Go(func() { e.sendRenewals(ctx, renewed) })
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
		_ = e.conn.Close(websocket.StatusUnsupportedData, "text_only") // the loop ends anyway
		return errNotText
	}
	// A client with a newer token sends it here, instead of opening another
	// socket.
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

// command returns the type of a command, or "" for a message to echo.
func command(message []byte) string {
	var c struct {
		Type string `json:"type"`
	}
	if len(message) > maxCommand || json.Unmarshal(message, &c, json.RejectUnknownMembers(true)) != nil {
		return ""
	}
	return c.Type
}

// stepUp requires a fresh token, as a handler does before an action for which
// a stolen session must not be enough. It waits in another goroutine, since
// the client may send the fresh token on this socket. A second request while
// it waits is ignored.
func (e *echoSocket) stepUp(ctx context.Context) error {
	if e.socket.Claims().Fresh {
		return e.send(ctx, notice{Type: "fresh_ok"})
	}
	select {
	case e.asking <- struct{}{}:
	default:
		return nil
	}
	if err := e.send(ctx, notice{Type: "fresh_required"}); err != nil {
		return err
	}
	e.helpers.Go(func() {
		defer func() { <-e.asking }()
		ctx, cancel := context.WithTimeout(ctx, stepUpWait)
		defer cancel()
		if e.socket.RequireFresh(ctx) == nil {
			// If the socket has ended, the reader gets the error.
			_ = e.send(ctx, notice{Type: "fresh_ok"})
		}
	})
	return nil
}

// sendRenewals sends the client each new expiry, even if the renewal did not
// come on this socket.
func (e *echoSocket) sendRenewals(ctx context.Context, renewed <-chan struct{}) {
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
		panic(err) // v is one of the messages above, and a verified payload is valid JSON
	}
	return e.write(ctx, message)
}

// write sends a text message. It fails if the client does not read for
// writeTimeout.
func (e *echoSocket) write(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return e.conn.Write(ctx, websocket.MessageText, message)
}

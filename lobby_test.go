package wsauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"wsauth"
)

// A lobby is a server in a bubble of synctest whose clients are not known
// before their first message.
type lobby struct {
	*target
	pipes *pipes
	heard chan string // what the application was given: "alice: hello"
}

// lobbies are the libraries whose handlers take first messages.
var lobbies = map[string]func(x *lobby, w http.ResponseWriter, r *http.Request){
	"coder": (*lobby).serveCoder, "gorilla": (*lobby).serveGorilla, "gws": (*lobby).serveGWS,
}

func lobbyConfig() wsauth.Config {
	return wsauth.Config{Locations: []wsauth.Location{wsauth.FirstMessage{}}, Origins: []string{origin}}
}

// inLobby runs f against a guard that is made in a bubble, whose Shutdown must
// then find nothing that keeps it waiting.
func inLobby(t *testing.T, library string, c func() wsauth.Config, f func(t *testing.T, x *lobby)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &lobby{&target{log: new(lockedBuffer)}, newPipes(), make(chan string, 100)}
		config := c()
		config.Verifier = newVerifier(t, 0)
		config.Logger = slog.New(slog.NewTextHandler(x.log, nil))
		guard, err := wsauth.New(config)
		if err != nil {
			t.Fatal(err)
		}
		x.guard = guard
		mux := http.NewServeMux()
		for _, q := range requirements {
			mux.Handle("/"+q.String(), guard.Require(q)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				lobbies[library](x, w, r)
			})))
		}
		server := &http.Server{Handler: mux, ErrorLog: log.New(x.log, "", 0)}
		go server.Serve(x.pipes) //nolint:errcheck // It ends with Shutdown.
		f(t, x)
		time.Sleep(2 * time.Second) // clients that went on are told
		if err := guard.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		close(x.heard)
		for heard := range x.heard {
			t.Errorf("the application was given %.100q", heard)
		}
	})
}

// take does with a message what a handler should, and returns its answer or
// the code to close with.
func (x *lobby) take(s *wsauth.Socket, text bool, message []byte) (answer []byte, code int) {
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

func (x *lobby) serveCoder(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20) // the bound for strangers is the guard's
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

func (x *lobby) serveGorilla(w http.ResponseWriter, r *http.Request) {
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

// A gwsTaker is a handler of gws.
type gwsTaker struct {
	gws.BuiltinEventHandler
	lobby   *lobby
	session *wsauth.Socket
}

func (g *gwsTaker) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	answer, code := g.lobby.take(g.session, message.Opcode == gws.OpcodeText, message.Bytes())
	if code != 0 {
		_ = conn.WriteClose(uint16(code), nil)
		return
	}
	if answer != nil {
		_ = conn.WriteMessage(gws.OpcodeText, answer)
	}
}

func (x *lobby) serveGWS(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := gws.NewUpgrader(&gwsTaker{lobby: x, session: socket}, nil).Upgrade(w, r)
	if err != nil {
		return
	}
	conn.ReadLoop()
}

// A duplex is one end of a connection whose directions close one by one, as
// those of TCP do and those of a net.Pipe do not.
type duplex struct {
	net.Conn // to read from
	out      net.Conn
	from     string
}

func newDuplex(from string) (client, server duplex) {
	request, requestEnd := net.Pipe()
	response, responseEnd := net.Pipe()
	return duplex{response, request, "server"}, duplex{requestEnd, responseEnd, from}
}

func (d duplex) Write(p []byte) (int, error)        { return d.out.Write(p) }
func (d duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }
func (d duplex) CloseWrite() error                  { return d.out.Close() }
func (d duplex) Close() error                       { return errors.Join(d.out.Close(), d.Conn.Close()) }
func (d duplex) RemoteAddr() net.Addr               { return &net.UnixAddr{Name: d.from} }

func (d duplex) SetDeadline(t time.Time) error {
	return errors.Join(d.SetReadDeadline(t), d.SetWriteDeadline(t))
}

// A caller is the client of a lobby.
type caller struct {
	*rawClient
	opened time.Time
	took   atomic.Int64 // bytes that the server read after the handshake
}

// knock sends a handshake, or another request, from an address.
func (x *lobby) knock(t *testing.T, from, raw string) *answer {
	t.Helper()
	client, server := newDuplex(from)
	x.pipes.conns <- server
	a := ask(t, client, raw)
	_ = client.SetDeadline(time.Time{})
	return a
}

// call opens a socket.
func (x *lobby) call(t *testing.T, from, path string) *caller {
	t.Helper()
	return called(t, x.knock(t, from, upgrade(path, fromOurs)))
}

func called(t *testing.T, a *answer) *caller {
	t.Helper()
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	return &caller{rawClient: &rawClient{conn: a.conn, r: a.in}, opened: time.Now()}
}

// send sends raw bytes meanwhile, as far as the server takes them.
func (c *caller) send(raw []byte) {
	go func() {
		n, _ := c.conn.Write(raw)
		c.took.Add(int64(n))
	}()
}

// say sends a text message.
func (c *caller) say(message string) { c.send(frame(0x81, message)) }

// frame is one of a client, with a masking key of zeros.
func frame(first byte, payload string) []byte {
	head := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		head[1] |= byte(n)
	case n < 1<<16:
		head = append(head, byte(n>>8), byte(n))
		head[1] |= 126
	default:
		head = append(head, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		head[1] |= 127
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

// hear is the next message of the server.
func (c *caller) hear(t *testing.T) string {
	t.Helper()
	opcode, body, err := c.readFrame()
	if err != nil || opcode != 1 {
		t.Fatalf("no message but a frame %d, % x, %v", opcode, body, err)
	}
	return string(body)
}

// closed reads up to the close frame and hangs up.
func (c *caller) closed(t *testing.T) (code int, reason string) {
	t.Helper()
	code, reason, err := c.readToClose()
	if err != nil {
		t.Errorf("no close frame but %v", err)
	}
	c.hangUp()
	return code, reason
}

// wantClose checks for what reason the socket is closed.
func (c *caller) wantClose(t *testing.T, want wsauth.Reason) {
	t.Helper()
	if code, reason := c.closed(t); code != want.Outcome().Code || reason != string(want) {
		t.Errorf("closed with %d %q, want %d %q", code, reason, want.Outcome().Code, want)
	}
}

// hangUp closes the connection, which the server then has learnt.
func (c *caller) hangUp() {
	c.conn.Close()
	synctest.Wait()
}

// auth is a message with a token, which may be any bytes.
func auth(tok string) string { return fmt.Sprintf(`{"type":"auth","token":%s}`, quoted(tok)) }

func initPayload(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"token":%s}}`, quoted(tok))
}

func initHeader(tok string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":%s}}`, quoted("Bearer "+tok))
}

// quoted is s as JSON, or, where JSON cannot hold it, as it is.
func quoted(s string) string {
	if !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return string(sure(json.Marshal(s)))
}

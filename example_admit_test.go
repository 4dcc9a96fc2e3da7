package wsauth_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A bareSocket is the connection of a server that writes its own frames. It
// must write whole frames, and none after End; a real server needs a lock for
// that.
type bareSocket struct{ net.Conn }

// End implements [wsauth.Ender].
func (s bareSocket) End(_ error, frame []byte, sent func()) {
	_, _ = s.Write(frame)
	sent()
	_ = s.Close()
}

// serveBare answers the handshake that comes first on a connection, without the
// server of net/http.
func serveBare(guard *wsauth.Guard, conn net.Conn) error {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	r.RemoteAddr = conn.RemoteAddr().String()
	claims, err := guard.Check(r, wsauth.Access)
	if err != nil {
		return err // or respond with Guard.Refuse
	}
	socket, err := guard.Admit(r, wsauth.Access, claims, bareSocket{conn})
	if err != nil {
		return err
	}
	defer socket.Closed()
	key := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 1.3
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(key[:]))
	if err != nil {
		return err
	}
	socket.Opened()
	<-socket.Context().Done() // a real server reads and writes messages
	return socket.Err()
}

// A server that handles connections itself does not need net/http: it checks
// the handshake, registers the socket, and ends it when the guard says so.
func ExampleGuard_Admit() {
	guard, issuer := newGuard(wsauth.Config{Revocations: memory.New(store.Limits{})})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = serveBare(guard, conn)
		}
		served <- err
	}()
	access := mustIssue(issuer.Access("ada", token.Options{}))
	conn := open("http://"+listener.Addr().String(), http.Header{"Authorization": {"Bearer " + access.Raw}})
	fmt.Println(guard.Stats().Sockets, "socket")

	_ = guard.Shutdown(context.Background())
	_, _, err = conn.Read(context.Background())
	fmt.Println(websocket.CloseStatus(err))
	fmt.Println(<-served)
	// Output:
	// 1 socket
	// StatusServiceRestart
	// wsauth: socket ended: restarting
}

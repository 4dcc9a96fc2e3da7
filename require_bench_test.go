package wsauth

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// BenchmarkRequire measures a handshake in this process, from the request to
// the end of its connection, with and without a guard.
func BenchmarkRequire(b *testing.B) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		b.Fatal(err)
	}
	access, err := issuer.Access("ada", token.Options{TTL: time.Hour, Fresh: true, SessionID: "s1", CSRF: true})
	if err != nil {
		b.Fatal(err)
	}
	g, err := New(Config{Verifier: verifier, Revocations: memory.New(store.Limits{})})
	if err != nil {
		b.Fatal(err)
	}
	defer g.revocations.stop()
	<-g.revocations.index.Ready()
	done := make(chan struct{})
	open := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
		} else {
			_ = conn.CloseNow()
		}
		done <- struct{}{}
	})
	for name, handler := range map[string]http.Handler{"unguarded": open, "guarded": g.Require(Access)(open)} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/ws", nil)
			for name, value := range map[string]string{
				"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
				"Authorization": "Bearer " + access.Raw, "User-Agent": "Go-http-client/1.1",
			} {
				r.Header.Set(name, value)
			}
			b.ReportAllocs()
			for b.Loop() {
				go handler.ServeHTTP(&taken{header: http.Header{}}, r)
				<-done
			}
		})
	}
}

// A taken is a ResponseWriter whose connection leads nowhere.
type taken struct{ header http.Header }

func (t *taken) Header() http.Header         { return t.header }
func (t *taken) Write(p []byte) (int, error) { return len(p), nil }
func (t *taken) WriteHeader(int)             {}

func (t *taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn := nowhere{}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, 16), bufio.NewWriterSize(conn, 16)), nil
}

// A nowhere is a connection whose peer sends nothing and accepts everything.
type nowhere struct{ net.Conn }

func (nowhere) Read([]byte) (int, error)         { return 0, io.EOF }
func (nowhere) Write(p []byte) (int, error)      { return len(p), nil }
func (nowhere) Close() error                     { return nil }
func (nowhere) SetDeadline(time.Time) error      { return nil }
func (nowhere) SetReadDeadline(time.Time) error  { return nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

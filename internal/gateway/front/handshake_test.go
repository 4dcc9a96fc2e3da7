package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const handshakeHead = "GET /chat?a=b HTTP/1.1\r\nHost: app.example:8080\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nsec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\t\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\n\r\n"

// unusualHeads holds heads that are left to net/http, valid or not.
var unusualHeads = map[string]string{
	"a part":                 handshakeHead[:len(handshakeHead)-2],
	"the end of no head":     "\r\n\r\n",
	"nothing":                "",
	"data behind it":         handshakeHead + "\x82\x00",
	"another request":        handshakeHead + handshakeHead,
	"a plain request":        strings.Replace(handshakeHead, "Upgrade: websocket\r\n", "", 1),
	"two upgrades":           strings.Replace(handshakeHead, "Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n", 1),
	"another method":         strings.Replace(handshakeHead, "GET", "POST", 1),
	"small letters":          strings.Replace(handshakeHead, "GET", "get", 1),
	"HTTP/1.0":               strings.Replace(handshakeHead, "HTTP/1.1", "HTTP/1.0", 1),
	"HTTP/1.10":              strings.Replace(handshakeHead, "HTTP/1.1", "HTTP/1.10", 1),
	"HTTP/2.0":               strings.Replace(handshakeHead, "HTTP/1.1", "HTTP/2.0", 1),
	"an absolute target":     strings.Replace(handshakeHead, "/chat", "http://other.example/chat", 1),
	"no path":                strings.Replace(handshakeHead, "/chat?a=b", "*", 1),
	"a blank in the target":  strings.Replace(handshakeHead, "/chat", "/ch at", 1),
	"a tab in the target":    strings.Replace(handshakeHead, "/chat", "/ch\tat", 1),
	"two blanks":             strings.Replace(handshakeHead, "GET ", "GET  ", 1),
	"no host":                strings.Replace(handshakeHead, "Host: app.example:8080\r\n", "", 1),
	"two hosts":              strings.Replace(handshakeHead, "Host:", "host: other.example\r\nHost:", 1),
	"a strange host":         strings.Replace(handshakeHead, "app.example:8080", "app.example,x", 1),
	"an empty host":          strings.Replace(handshakeHead, "app.example:8080", "", 1),
	"a body":                 strings.Replace(handshakeHead, "Cookie: a=1", "Content-Length: 0", 1),
	"a chunked body":         strings.Replace(handshakeHead, "Cookie: a=1", "transfer-encoding: chunked", 1),
	"a client that waits":    strings.Replace(handshakeHead, "Cookie: a=1", "Expect: 100-continue", 1),
	"a trailer":              strings.Replace(handshakeHead, "Cookie: a=1", "TRAILER: x", 1),
	"a line feed alone":      strings.Replace(handshakeHead, "Cookie: a=1\r\n", "Cookie: a=1\n", 1),
	"only line feeds":        strings.ReplaceAll(handshakeHead, "\r\n", "\n"),
	"a return alone":         strings.Replace(handshakeHead, "Cookie: a=1", "Cookie: a\r=1", 1),
	"a line that goes on":    strings.Replace(handshakeHead, "Cookie: a=1", "Cookie: a=1\r\n b=2", 1),
	"a blank before a colon": strings.Replace(handshakeHead, "Cookie: a=1", "Cookie : a=1", 1),
	"a blank before a name":  strings.Replace(handshakeHead, "Host:", " Host:", 1),
	"no name":                strings.Replace(handshakeHead, "Cookie: a=1", ": a=1", 1),
	"no colon":               strings.Replace(handshakeHead, "Cookie: a=1", "Cookie", 1),
	"a control":              strings.Replace(handshakeHead, "Cookie: a=1", "Cookie: a=\x001", 1),
	"no ASCII":               strings.Replace(handshakeHead, "Cookie: a=1", "Cookie: a=\xe9", 1),
	"a long head":            strings.Replace(handshakeHead, "X-Empty:", strings.Repeat("x:\r\n", maxHandshake/4)+"X-Empty:", 1),
	"a bad escape":           strings.Replace(handshakeHead, "/chat", "/ch%zzat", 1),
}

// TestReadHandshake checks that handshakes in their usual form are parsed, and
// nothing else.
func TestReadHandshake(t *testing.T) {
	r := ReadHandshake([]byte(handshakeHead))
	if r == nil {
		t.Fatal("not read")
	}
	if r.Host != "app.example:8080" || r.RequestURI != "/chat?a=b" || r.Header.Get("Sec-WebSocket-Key") != "dGhlIHNhbXBsZSBub25jZQ==" || len(r.Header["Cookie"]) != 2 {
		t.Errorf("got %+v", r)
	}
	for name, head := range unusualHeads {
		if r := ReadHandshake([]byte(head)); r != nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

// seenByNetHTTP returns the request that net/http passes to a handler for data,
// or nil.
func seenByNetHTTP(t *testing.T, data []byte) *http.Request {
	t.Helper()
	near, far := net.Pipe()
	seen := make(chan *http.Request, 1)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(seen) == 0 {
			seen <- r
		}
		w.Header().Set("Connection", "close")
	})}
	l := &singleListener{conn: near, closed: make(chan struct{})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	go func() { _, _ = far.Write(data) }()
	_, _ = http.ReadResponse(bufio.NewReader(far), nil) //nolint:bodyclose // the connection is closed
	_ = far.Close()
	_ = s.Close()
	<-served
	select {
	case r := <-seen:
		return r
	default:
		return nil
	}
}

// A singleListener is a listener with one connection.
type singleListener struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *singleListener) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *singleListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *singleListener) Addr() net.Addr { return &net.TCPAddr{} }

// FuzzReadHandshake checks that ReadHandshake parses a handshake exactly as
// net/http does.
func FuzzReadHandshake(f *testing.F) {
	f.Add([]byte(handshakeHead), "", "", "")
	for _, head := range unusualHeads {
		f.Add([]byte(head), "", "", "")
	}
	f.Add([]byte(nil), "//a/../%2e?b#c", "Connection", "close")
	f.Add([]byte(nil), "/;?%zz", "content-Length", " 0")
	f.Add([]byte(nil), "/", "Pragma", "no-cache")
	f.Fuzz(func(t *testing.T, data []byte, target, name, value string) {
		if len(data) == 0 { // mutations of a complete head are seldom complete
			data = []byte("GET " + target + " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" + name + ":" + value + "\r\n\r\n")
		}
		got := ReadHandshake(data)
		if got == nil {
			return
		}
		want := seenByNetHTTP(t, data)
		if want == nil {
			t.Fatalf("net/http passes on nothing of %q", data)
		}
		type parts struct {
			Method, URI, Path, RawPath, Query, Proto, Host string
			Header                                         http.Header
			Length                                         int64
			Encoding                                       []string
			Close                                          bool
		}
		of := func(r *http.Request) parts {
			return parts{
				r.Method, r.RequestURI, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.Proto, r.Host, r.Header, r.ContentLength, r.TransferEncoding, r.Close,
			}
		}
		if diff := cmp.Diff(of(want), of(got)); diff != "" {
			t.Errorf("net/http (-) parses it differently (+):\n%s", diff)
		}
	})
}

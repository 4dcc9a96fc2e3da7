package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/testenv"
)

// A foreignBackend is an echo server that knows nothing of wsauth. Its first
// message is the identity of the client, as the gateway's headers state it.
// ends receives the errors with which its sockets end.
type foreignBackend struct {
	url  string
	ends <-chan string
}

// foreignBackends are servers that people put behind the gateway.
var foreignBackends = []struct {
	name  string
	start func(t *testing.T) foreignBackend
}{
	{"coder", func(t *testing.T) foreignBackend { return inGo(t, coderEcho) }},
	{"gorilla", func(t *testing.T) foreignBackend { return inGo(t, gorillaEcho) }},
	{"gws", func(t *testing.T) foreignBackend { return inGo(t, gwsEcho) }},
	{"Node ws", func(t *testing.T) foreignBackend { return program(t, "node", "echo.mjs", "node_modules/ws") }},
	{"Python websockets", func(t *testing.T) foreignBackend { return program(t, "/usr/bin/python3", "echo.py", "") }},
	{"nginx before coder", func(t *testing.T) foreignBackend {
		s := inGo(t, coderEcho)
		s.url = behindNginx(t, s.url)
		return s
	}},
}

// TestBackends checks that sockets to each backend echo, with and without
// compression, and that a logout ends them for both sides.
func TestBackends(t *testing.T) {
	for _, s := range foreignBackends {
		t.Run(s.name, func(t *testing.T) {
			backend := s.start(t)
			r := start(t, func(c *Config) {
				c.Login.Users = anyone
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{backend.url}}}
			})
			for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover} {
				access, refresh := r.LoginAs("ada")
				conn := r.offer(mode, access)
				if conn.Subprotocol() != "chat" {
					t.Errorf("subprotocol %q", conn.Subprotocol())
				}
				if hello, err := r.Read(conn); err != nil || !strings.HasPrefix(hello, "user=ada authorization=") || strings.Contains(hello, access) {
					t.Fatalf("first message %q, %v", hello, err)
				}
				for _, n := range []int{0, 1, 125, 126, 65_535, 65_536, 300_000} {
					r.WantEcho(conn, strings.Repeat("ä", n/2))
				}
				if err := conn.Ping(withReader(t, conn)); err != nil {
					t.Errorf("ping: %v", err)
				}
				other := r.offer(mode, access)
				if _, err := r.Read(other); err != nil {
					t.Fatal(err)
				}
				r.Call("POST", "/auth/logout", "", bearer(refresh))
				r.WantClose(other, 3000, "session_ended")
				for range 2 {
					if end := <-backend.ends; !strings.Contains(end, "3000") || !strings.Contains(end, "session_ended") {
						t.Errorf("the backend sees the end %q", end)
					}
				}
			}
		})
	}
}

// offer opens a socket that offers a subprotocol, as a browser does.
func (r *rig) offer(mode websocket.CompressionMode, access string) *websocket.Conn {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, r.URL+"/chat", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + access}}, HTTPClient: r.HTTP, Subprotocols: []string{"chat"}, CompressionMode: mode,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	compressed := strings.HasPrefix(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	if compressed != (mode != websocket.CompressionDisabled) {
		r.T.Errorf("mode %d: negotiated the extensions %q", mode, resp.Header.Get("Sec-WebSocket-Extensions"))
	}
	conn.SetReadLimit(-1)
	r.T.Cleanup(func() { conn.CloseNow() })
	return conn
}

// withReader reads conn until the test ends. Without a reader, a ping would
// never get its pong.
func withReader(t *testing.T, conn *websocket.Conn) context.Context {
	t.Helper()
	conn.CloseRead(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// inGo serves an echo in this process.
func inGo(t *testing.T, echo func(ends chan<- string) http.Handler) foreignBackend {
	t.Helper()
	ends := make(chan string, 10)
	server := httptest.NewServer(echo(ends))
	t.Cleanup(server.Close)
	return foreignBackend{server.URL, ends}
}

func helloOf(r *http.Request) string {
	return fmt.Sprintf("user=%s authorization=%s", r.Header.Get("X-User"), r.Header.Get("Authorization"))
}

func coderEcho(ends chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionNoContextTakeover})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		kind, message := websocket.MessageText, []byte(helloOf(r))
		for {
			if err = conn.Write(r.Context(), kind, message); err == nil {
				kind, message, err = conn.Read(r.Context())
			}
			if err != nil {
				ends <- err.Error()
				return
			}
		}
	})
}

func gorillaEcho(ends chan<- string) http.Handler {
	upgrader := gorilla.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		kind, message := gorilla.TextMessage, []byte(helloOf(r))
		for {
			if err = conn.WriteMessage(kind, message); err == nil {
				kind, message, err = conn.ReadMessage()
			}
			if err != nil {
				ends <- err.Error()
				return
			}
		}
	})
}

// A gwsEchoes is an event handler of lxzan/gws that echoes messages.
type gwsEchoes struct {
	gws.BuiltinEventHandler
	ends chan<- string
}

func (gwsEchoes) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	_ = conn.WriteMessage(message.Opcode, message.Bytes()) // OnClose reports the error
}

func (e gwsEchoes) OnClose(_ *gws.Conn, err error) { e.ends <- err.Error() }

func (gwsEchoes) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func gwsEcho(ends chan<- string) http.Handler {
	upgrader := gws.NewUpgrader(gwsEchoes{ends: ends}, &gws.ServerOption{SubProtocols: []string{"chat"}, PermessageDeflate: gws.PermessageDeflate{Enabled: true}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		if err := conn.WriteString(helloOf(r)); err != nil {
			return
		}
		conn.ReadLoop()
	})
}

// program runs a server of testdata/backends, which prints its port first and
// then the ends of its sockets.
func program(t *testing.T, interpreter, script, needs string) foreignBackend {
	t.Helper()
	port, ends := runScript(t, interpreter, script, needs)
	return foreignBackend{"http://127.0.0.1:" + port, ends}
}

// runScript runs a program of testdata/backends until the test ends. It
// returns the first line that the program prints, and then the others.
func runScript(t *testing.T, interpreter, script, needs string, args ...string) (first string, lines <-chan string) {
	t.Helper()
	dir := filepath.Join("testdata", "backends")
	testenv.NeedProgram(t, interpreter)
	if _, err := os.Stat(filepath.Join(dir, needs)); err != nil {
		testenv.Skip(t, err.Error())
	}
	cmd := exec.Command(interpreter, append([]string{script}, args...)...)
	cmd.Dir = dir
	var faults strings.Builder
	cmd.Stderr = &faults
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := bufio.NewScanner(out)
	if !printed.Scan() {
		_ = cmd.Wait()
		if strings.Contains(faults.String(), "ModuleNotFoundError") {
			testenv.Skip(t, "the package that "+script+" needs is not installed")
		}
		t.Fatalf("%s prints nothing: %s", script, faults.String())
	}
	first = printed.Text()
	rest, done := make(chan string, 10), make(chan struct{})
	go func() {
		defer close(done)
		for printed.Scan() {
			rest <- printed.Text()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // stops it
		<-done
		_ = cmd.Wait()
	})
	return first, rest
}

// behindNginx puts nginx between the gateway and a server, configured for
// WebSockets as its manual says.
func behindNginx(t *testing.T, upstream string) string {
	t.Helper()
	return nginx(t, func(addr string) string {
		return fmt.Sprintf(`server { listen %s; location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } }`, addr, upstream)
	})
}

// nginx runs nginx with the configuration that servers returns for a free
// address.
func nginx(t *testing.T, servers func(addr string) string) string {
	t.Helper()
	path := testenv.NeedProgram(t, "nginx")
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s }
`, dir, servers(addr))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for started := time.Now(); time.Since(started) < 10*time.Second; <-time.After(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return "http://" + addr
		}
	}
	t.Fatal("nginx does not start")
	return ""
}

package config

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/testenv"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/token"
)

// TestPagesHoldAgainstAttacks checks that no path bypasses a route shown in the
// README, the pages or the example. It serves every combination of these
// routes, in front of servers that serve any path as a page and as a socket,
// and attacks it without a token.
func TestPagesHoldAgainstAttacks(t *testing.T) {
	shown := map[string][]proxy.Route{"example": routesOf(Parse("example.yaml", []byte(wholeExample(t))))}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		for i, text := range yamlOf(t, page) {
			if routes := routesOf(Parse("f.yaml", []byte(text))); len(routes) > 0 {
				shown[fmt.Sprintf("%s %d", filepath.Base(page), i)] = routes
			}
		}
	}
	if len(shown["README.md 0"]) == 0 || len(shown["configuration.md 0"]) == 0 {
		t.Fatalf("got %v", shown)
	}
	for _, backend := range []struct {
		name  string
		start func(*testing.T) string
	}{{"Go", startAnyPath}, {"Node ws", startNode}} {
		t.Run(backend.name, func(t *testing.T) {
			at, done := backend.start(t), map[string]bool{}
			for name, routes := range shown {
				if text := fmt.Sprint(routes); done[text] { // another page shows the same routes
					continue
				} else {
					done[text] = true
				}
				for chosen := 1; chosen < 1<<len(routes); chosen++ {
					var some []proxy.Route
					for i, r := range routes {
						if chosen&(1<<i) != 0 {
							r.Upstreams = []string{at}
							some = append(some, r)
						}
					}
					attackRoutes(t, name, some)
				}
			}
		})
	}
}

// routesOf returns the routes of a document, with the settings that decide who
// may pass.
func routesOf(d *Document) (all []proxy.Route) {
	for _, r := range d.Settings.Routes {
		all = append(all, proxy.Route{Path: r.Path, Public: r.Public, Sockets: r.Sockets, Requirement: requirements[r.Requirement]})
	}
	return all
}

// startAnyPath starts a server that answers every path, and upgrades every
// request that asks for it.
func startAnyPath(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := fmt.Sprintf("%s %s user=%s", r.Method, r.RequestURI, r.Header.Get("X-User"))
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, said)
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(said))
		_, _, _ = conn.Read(r.Context())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// startNode starts the server of testdata/backends/any.mjs.
func startNode(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "gateway", "testdata", "backends")
	node := testenv.NeedProgram(t, "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		testenv.Skip(t, err.Error())
	}
	cmd := exec.Command(node, "any.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
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
	t.Cleanup(func() {
		_ = in.Close() // stops it
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("node prints nothing")
	}
	return "http://127.0.0.1:" + lines.Text()
}

// An attacked is a running gateway that the tests attack.
type attacked struct {
	t      *testing.T
	name   string
	routes []proxy.Route
	addr   string
}

// attackRoutes serves routes, and requests each path that may bypass them.
func attackRoutes(t *testing.T, name string, routes []proxy.Route) {
	t.Helper()
	for _, r := range routes {
		name += " " + r.Path
	}
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Tokens: tokens.Config{Keys: keys}, Login: login.Config{Users: demo.Users{}}, Routes: routes})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}()
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys, AccessTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	access, err := issuer.Access("ada", token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := &attacked{t, name, routes, l.Addr().String()}
	paths := []string{"/", "/x", "/x/", "/auth", "/Auth/x", "/authx"}
	for _, r := range routes {
		paths = append(paths, similarPaths(r.Path)...)
	}
	for _, path := range paths {
		a.checkPage(path)
		a.checkSocket(path)
	}
	for _, r := range routes {
		if r.Public {
			if status, said := a.ask(r.Path); status != http.StatusOK || said != "GET "+r.Path+" user=" {
				t.Errorf("%s: %s, which is public: %d %s", name, r.Path, status, said)
			}
			continue
		}
		if status, said := a.ask(r.Path, "Authorization: Bearer "+access.Raw); status != http.StatusOK || said != "GET "+r.Path+" user=ada" {
			t.Errorf("%s: %s with a token: %d %s", name, r.Path, status, said)
		}
		if status, _ := a.ask(r.Path, append(upgradeLines, "Authorization: Bearer "+access.Raw)...); status != http.StatusSwitchingProtocols {
			t.Errorf("%s: the socket %s with a token: %d", name, r.Path, status)
		}
	}
}

// similarPaths returns paths that some servers treat as a route's path, or as
// one below or next to it.
func similarPaths(path string) []string {
	bare := strings.TrimSuffix(path, "/")
	if bare == "" {
		return nil
	}
	first := fmt.Sprintf("/%%%x", bare[1])
	all := []string{bare, bare + "/"}
	for _, p := range []string{bare, strings.ToUpper(bare), strings.ToUpper(bare[:2]) + bare[2:], first + bare[2:], first + strings.ToUpper(bare[2:])} {
		for _, end := range []string{"", "/", "/x", "/X/", "x", "2", "?x=1", "/?x=1", "%3f", "%3fx", "/%3f", "%23", "%23/x", "%2f", "%2Fx", "%252f", "%25%32%66", ";", ";x/", "//", "/.", "/..", "/../x", "%5c", "%00", "%20", "."} {
			all = append(all, p+end)
		}
	}
	return append(all, "/x/.."+bare, "/x/%2e%2e"+bare, "/."+bare, "//x"+bare, "/%25"+first[2:]+bare[2:], "/%2525"+first[2:]+bare[2:], "/x"+bare, "/%2e%2e"+bare, "/\\x/.."+bare)
}

var upgradeLines = slices.Clip(wstest.UpgradeLines())

// ask sends a request unchanged, and returns the status and the body, which is
// empty for a socket.
func (a *attacked) ask(path string, lines ...string) (status int, body string) {
	a.t.Helper()
	conn, err := net.Dial("tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if !slices.Contains(lines, upgradeLines[0]) {
		lines = append(slices.Clone(lines), "Connection: close")
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: app.example\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.t.Fatalf("%s: %s: %v", a.name, path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, ""
	}
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(read)
}

// checkPage fails if a page that a lenient server treats as guarded opens
// without a token.
func (a *attacked) checkPage(path string) {
	a.t.Helper()
	if status, body := a.ask(path); status == http.StatusOK && strings.HasPrefix(body, "GET ") && a.guards(path) {
		a.t.Errorf("%s: %s opens without a token: %s", a.name, path, body)
	}
}

// checkSocket fails if a socket opens without a token, unless its route is open
// to everybody.
func (a *attacked) checkSocket(path string) {
	a.t.Helper()
	status, _ := a.ask(path, upgradeLines...)
	allowed := !a.guards(path) && slices.ContainsFunc(a.routes, func(r proxy.Route) bool { return r.Sockets })
	if status == http.StatusSwitchingProtocols && !allowed {
		a.t.Errorf("%s: the socket %s opens without a token", a.name, path)
	}
}

// guards reports whether the most specific route of a path is guarded, for a
// server that ignores case, a trailing slash and escapes.
func (a *attacked) guards(path string) bool {
	for range 4 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
	}
	path = strings.ToLower(path)
	if end := strings.IndexAny(path, "?#;\x00"); end >= 0 {
		path = path[:end]
	}
	path = strings.TrimRight(path, "/")
	best, guarded := -1, false
	for _, r := range a.routes {
		bare := strings.TrimSuffix(strings.ToLower(r.Path), "/")
		below := strings.HasSuffix(r.Path, "/") && strings.HasPrefix(path, bare+"/")
		if (path == bare || below) && len(bare) > best {
			best, guarded = len(bare), !r.Public
		}
	}
	return guarded
}

package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/urlpath"
	"wsauth/internal/wstest"
)

// TestTicketPaths checks that a ticket opens its path in each spelling that a
// client may send, whether an event loop or net/http reads the request. A path
// that the gateway refuses gets no ticket, since the ticket could never open a
// socket.
func TestTicketPaths(t *testing.T) {
	text, err := os.ReadFile("../urlpath/testdata/paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Path, Canonical string }
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}}
		c.Login.TicketBurst = 1000
	})
	access, _ := r.Login()
	handshake := func(path, query, line string) int {
		t.Helper()
		host := strings.TrimPrefix(r.URL, "http://")
		path = strings.NewReplacer(" ", "%20", "\n", "%0A", "\t", "%09", "\x7f", "%7F").Replace(path)
		return r.raw(fmt.Sprintf("GET %s%s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n"+wstest.UpgradeFields+"%s\r\n", path, query, host, r.URL, line))
	}
	refused := 0
	for _, v := range vectors {
		body := string(must(json.Marshal(map[string]string{"path": v.Path})))
		ticket := func() string {
			e := r.Call("POST", "/auth/ticket", body, jsonType, bearer(access), "Origin: "+r.URL)
			if e.StatusCode != http.StatusOK {
				return ""
			}
			return e.Decode(t)["ticket"].(string)
		}
		first := ticket()
		if first == "" {
			refused++
			r.Call("POST", "/auth/ticket", body, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", "two ways")
			if got := handshake(v.Canonical, "", bearer(access)+"\r\n"); got != http.StatusBadRequest {
				t.Errorf("%q gets no ticket, but %q opens with a token: %d", v.Path, v.Canonical, got)
			}
			continue
		}
		if got := handshake(v.Canonical, "?ticket="+first, ""); got != http.StatusSwitchingProtocols {
			t.Errorf("%q at %q: %d", v.Path, v.Canonical, got)
		}
		if decodes(v.Path) && !urlpath.HasDots(v.Path) {
			want := http.StatusSwitchingProtocols
			if strings.Contains(v.Path, "%2E") {
				want = http.StatusBadRequest // for every request; the browser module sends the dot
			}
			if got := handshake(v.Path, "?ticket="+ticket(), ""); got != want {
				t.Errorf("%q: %d, want %d", v.Path, got, want)
			}
		}
		if got := handshake("/another"+v.Canonical, "?ticket="+ticket(), ""); got != http.StatusUnauthorized {
			t.Errorf("a ticket for %q opens another path: %d", v.Path, got)
		}
	}
	if refused == 0 || refused > 15 {
		t.Errorf("%d of %d paths get no ticket", refused, len(vectors))
	}
}

// decodes reports whether net/http accepts a path: each percent sign must begin
// an escape.
func decodes(path string) bool {
	_, err := url.PathUnescape(path)
	return err == nil
}

func TestTicketPathLength(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	for _, part := range []string{"a", "|", "%7C", "日", "%E6%97%A5"} {
		n := map[string]int{"日": 3, "%E6%97%A5": 3}[part]
		longest := "/" + strings.Repeat(part, 2047/max(1, n))
		if e := r.Call("POST", "/auth/ticket", `{"path":"`+longest+`"}`, jsonType, bearer(access)); e.StatusCode != http.StatusOK {
			t.Errorf("%q: got %d %s, want %v", part, e.StatusCode, e.Text, http.StatusOK)
		}
		r.Call("POST", "/auth/ticket", `{"path":"`+longest+part+`"}`, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", "2048 bytes")
	}
}

// TestTicketsOfAmbiguousPaths checks tickets for paths that can be read in two
// ways. If routes have different rules, such a path gets a ticket only if its
// route accepts it. Otherwise each socket would be refused.
func TestTicketsOfAmbiguousPaths(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: at, Public: true},
			{Path: "/rooms/", Upstreams: at},
			{Path: "/lenient/", Upstreams: at, LenientPaths: true},
			{Path: "/chat", Upstreams: at},
			{Path: "/", Host: "other.example", Upstreams: at},
			{Path: "/a/", Host: "*.mixed.example", Upstreams: at, LenientPaths: true},
			{Path: "/b/", Host: "*.mixed.example", Upstreams: at, Public: true},
		}
	})
	access, _ := r.Login()
	for path, want := range map[string]string{
		"/rooms/a b":      "",
		"/rooms/日本":       "",
		"/rooms/a%2Fb":    "lenient_paths",
		"/rooms/../chat":  "",
		"/lenient/a%2Fb":  "",
		"/lenient/a//b;c": "",
		"/a/x%2Fy":        "",
		"/chat":           "",
		"/chat/":          "", // at other.example
		"/%252e":          "escapes of escapes",
	} {
		e := r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access))
		if (e.StatusCode == http.StatusOK) != (want == "") || !strings.Contains(e.Text, want) {
			t.Errorf("%s: got %d %s", path, e.StatusCode, e.Text)
		}
	}
	routes := []proxy.Route{
		{Path: "/public/", Upstreams: at, Public: true},
		{Path: "/rooms/", Upstreams: at},
		{Path: "/lenient/", Upstreams: at, LenientPaths: true},
		{Path: "/open", Upstreams: at, Public: true, Sockets: true},
		{Path: "/open/x", Upstreams: at},
	}
	if err := r.g.Update(routes); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/rooms/a b": 200, "/rooms/": 200, "/rooms/a%2Fb": 422, "/rooms//a": 422, "/rooms/a;b": 422, "/lenient/a%2Fb": 200, "/lenient/..%2Frooms": 422,
		"/lenient/x%2F..%2F..%2Frooms/": 422, "/ROOMS/x": 200, "/elsewhere/a%2Fb": 200, "/open/x/": 200, "/Rooms/": 200,
	} {
		e := r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access), "Origin: "+r.URL)
		if e.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, e.StatusCode, e.Text, want)
		}
		if e.StatusCode != http.StatusOK {
			if got := r.get(path, append(upgradeLines[1:], bearer(access))...); got.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %d %s, though it gets no ticket", path, got.StatusCode, got.Text)
			}
		}
	}
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: at, Public: true}, {Path: "/rooms/", Upstreams: at}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/rooms", "/Rooms/x", "/rooms./x"} {
		r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", "final slash")
		if got := r.callUnchanged("GET "+path+" HTTP/1.1", append([]string{bearer(access)}, upgradeLines...)...); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s, though it gets no ticket", path, got.StatusCode, got.Text)
		}
	}
	if e := r.Call("POST", "/auth/ticket", `{"path":"/rooms/a%2Fb"}`, jsonType, bearer(access)); !strings.Contains(e.Text, "lenient_paths") {
		t.Errorf("the answer names no setting: %s", e.Text)
	}
}

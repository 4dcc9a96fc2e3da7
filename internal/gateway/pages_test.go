package gateway

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/problem"
	"wsauth/internal/revindex"
	"wsauth/internal/urlpath"
	"wsauth/internal/wsframe"
	"wsauth/login"
	"wsauth/store"
	"wsauth/token"
)

func pageText(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// maxAge returns the seconds of a Cache-Control.
func maxAge(t *testing.T, control string) int {
	t.Helper()
	_, age, _ := strings.Cut(control, "max-age=")
	n, err := strconv.Atoi(age)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tableOf returns the rows of a table in a page by their first cell.
func tableOf(t *testing.T, page, head string) map[string][]string {
	t.Helper()
	_, table, found := strings.Cut(pageText(t, page), head+"\n")
	if !found {
		t.Fatalf("%s has no table %q", page, head)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[cells[0]] = cells[1:]
	}
	return rows
}

// quantity matches a number in a page, with its unit.
var quantity = regexp.MustCompile(`\b\d[\d,.]*(?: (?:s|ms|KiB|MiB|GiB|bytes|minute|minutes|days))?\b`)

// inSeconds and inBytes format quantities as pages write them.
func inSeconds(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }

func inBytes[T ~int | ~int64](n T) string {
	for _, unit := range []struct {
		name  string
		bytes T
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%unit.bytes == 0 {
			return fmt.Sprintf("%d %s", n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// wantQuantities checks the quantities in the cells of a row.
func wantQuantities(t *testing.T, rows map[string][]string, row string, want ...string) {
	t.Helper()
	cells, found := rows[row]
	if !found {
		t.Errorf("there is no row %q", row)
		return
	}
	delete(rows, row)
	text := regexp.MustCompile(`\]\([^)]*\)`).ReplaceAllString(strings.Join(cells, " | "), "]")
	if got := quantity.FindAllString(text, -1); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: got %q, want %q as in the program", row, got, want)
	}
}

// TestSecurityPageLimits compares the limits in docs/security.md with the
// program.
func TestSecurityPageLimits(t *testing.T) {
	r := start(t)
	server := r.g.front.HTTPServer()
	body, late := inSeconds(proxy.Patience), inSeconds(proxy.Patience)
	rows := tableOf(t, "security.md", "| what | at the gateway's own endpoints | on routes |")
	wantQuantities(t, rows, "the header of a request", inSeconds(server.ReadHeaderTimeout), inBytes(problem.MaxHeaders), "431", inBytes(problem.MaxTarget), "414")
	wantQuantities(t, rows, "the body of a request", inBytes(problem.MaxBody), "413", inSeconds(server.ReadTimeout), "413", body)
	wantQuantities(t, rows, "a response", inSeconds(server.WriteTimeout), inSeconds(proxy.DefaultResponse), "504", late)
	wantQuantities(t, rows, "a message on a socket", inBytes(demo.MaxMessage), "1009", "1009", inBytes(longestFrame(t)))
	for row := range rows {
		t.Errorf("no test compares the row %q", row)
	}

	if want := fmt.Sprintf("| how long verifiers may cache the published keys | %d minutes | |", maxAge(t, r.Call("GET", discovery.KeysPath, "").Header.Get("Cache-Control"))/60); !strings.Contains(pageText(t, "keys.md"), want) {
		t.Errorf("keys.md has no row %q", want)
	}

	rows = tableOf(t, "security.md", "| what | limit |")
	behind := start(t, func(c *Config) { c.Front.TrustedProxies = []string{"192.0.2.1"} }).g.front.HTTPServer()
	wantQuantities(t, rows, "an idle connection between two requests", inSeconds(server.IdleTimeout), inSeconds(behind.IdleTimeout))
	wantQuantities(t, rows, "a peer that has vanished", inSeconds(front.DeadPeer))
	wantQuantities(t, rows, "failed logins", "429")
	for _, row := range []string{"passwords that are hashed", "logins that succeed"} { // compared by tests of package login
		if rows[row] == nil {
			t.Errorf("there is no row %q", row)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("no test compares the row %q", row)
	}
}

// longestFrame returns the length of the longest frame of a client that passes
// without a configured limit.
func longestFrame(t *testing.T) int64 {
	t.Helper()
	passes := func(n int64) bool {
		head := append([]byte{0x82, 0x80 | 127}, make([]byte, 12)...)
		binary.BigEndian.PutUint64(head[2:], uint64(n))
		_, fault := (&wsframe.Checker{Client: true}).Check(head, 0)
		return fault == nil
	}
	const limit = 2 << 30
	if !passes(limit) || passes(limit+1) {
		t.Errorf("a frame of %d bytes: %v, one more: %v", limit, passes(limit), passes(limit+1))
	}
	return limit
}

// TestSecurityPageSizes checks that inputs pass up to their limit of size, and
// not beyond.
func TestSecurityPageSizes(t *testing.T) {
	own, route := start(t), serveBehind(t, newBackend(t), func(c *Config) { c.Routes[0].Public, c.Routes[0].Headers = true, nil })
	for name, at := range map[string]struct {
		*rig
		path, lines string
		passes      int
	}{
		"own":       {own, "/auth/session", "", 401},
		"handshake": {own, "/ws", strings.Join(upgradeLines, "\r\n") + "\r\n", 101},
		"route":     {route, "/x", "", 200},
	} {
		for _, tt := range []struct {
			what   string
			bytes  int
			status int
		}{
			{"target", problem.MaxTarget, at.passes}, {"target", problem.MaxTarget + 1, 414},
			{"header", problem.MaxHeaders, at.passes}, {"header", problem.MaxHeaders + 1, 431},
		} {
			target, header := at.path+"?", at.lines
			if tt.what == "target" {
				target += strings.Repeat("a", tt.bytes-len(target))
			} else {
				header += "A: " + strings.Repeat("b", tt.bytes-len(header+"A: \r\n")) + "\r\n"
			}
			if got := at.raw("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n"); got != tt.status {
				t.Errorf("%s: a %s of %d bytes: %d, want %d", name, tt.what, tt.bytes, got, tt.status)
			}
		}
	}
	const around = `{"username":"x","password":"y"}`
	for n, want := range map[int]int{problem.MaxBody: http.StatusUnauthorized, problem.MaxBody + 1: http.StatusRequestEntityTooLarge} {
		body := `{` + strings.Repeat(" ", n-len(around)) + around[1:]
		if e := own.Call("POST", "/auth/login", body, jsonType); e.StatusCode != want {
			t.Errorf("own: a body of %d bytes: %d, want %d", n, e.StatusCode, want)
		}
	}
	if e := route.Call("POST", "/x", strings.Repeat(" ", 8*problem.MaxBody)); e.StatusCode != http.StatusOK {
		t.Errorf("route: a body of %d bytes: %d", 8*problem.MaxBody, e.StatusCode)
	}
}

// TestSessionsPageLives compares the lifetimes in docs/sessions.md with the
// program.
func TestSessionsPageLives(t *testing.T) {
	const day = 24 * time.Hour
	rows := tableOf(t, "sessions.md", "| what | how long | flag |")
	c := must(Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: demo.Users{}}}.Check())
	for row, want := range map[string]string{
		"an access token, and a socket that is not renewed": fmt.Sprintf("%v to %v minutes", c.Login.AccessTTL.Minutes()*0.9, c.Login.AccessTTL.Minutes()),
		"a session that is not refreshed":                   fmt.Sprintf("%d days from its last refresh", c.Login.RefreshTTL/day),
		"a session in total":                                fmt.Sprintf("%d days; no token of it lives longer", c.Login.SessionTTL/day),
		"a ticket":                                          fmt.Sprintf("%v s, one use", wsauth.TicketLife.Seconds()),
	} {
		if len(rows[row]) == 0 || rows[row][0] != want {
			t.Errorf("%s: the page says %q, the program %q", row, rows[row], want)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("no test compares the row %q", row)
	}
}

// TestPagesNameEndpoints checks that the gateway serves every address below
// /auth and /.well-known that a page or the client names, with the method that
// the page names. Pages must also name every address below /auth that the
// gateway serves.
func TestPagesNameEndpoints(t *testing.T) {
	g := start(t).g
	c := Config{Login: login.Config{Prefix: "/auth", Users: demo.Users{}}, Tokens: tokens.Config{Issuer: "https://login.example"}}
	endpoints, err := g.endpoints(&c)
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{"/auth/backchannel-logout": "POST", "/auth/events": "POST"} // with providers
	for _, e := range endpoints {
		served[e.Path] = e.Method
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	named := map[string]bool{}
	for _, page := range append(pages, "../../README.md", "../../client/README.md", "doc.go") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?:(GET|POST|DELETE) +)?(/(?:auth|\.well-known)/[a-z0-9{}./-]+[a-z0-9}])`).FindAllStringSubmatch(string(text), -1) {
			method, path := found[1], found[2]
			path = strings.Replace(path, "/client/wsauth.js", "/client/{file}", 1)
			named[path] = true
			if served[path] == "" || method != "" && method != served[path] {
				t.Errorf("%s: %q is not served", page, found[0])
			}
		}
	}
	for _, e := range endpoints {
		if strings.HasPrefix(e.Path, "/auth/") && !named[e.Path] {
			t.Errorf("no page names %s %s", e.Method, e.Path)
		}
	}
}

// oneOf returns words, which name unit. It fails the test if d differs from
// unit.
func oneOf(t *testing.T, d, unit time.Duration, words string) string {
	t.Helper()
	if d != unit {
		t.Errorf("%v is not %s", d, words)
	}
	return words
}

// TestNumbersInPages compares numbers in sentences of pages with the program.
func TestNumbersInPages(t *testing.T) {
	words := map[int]string{2: "two", 4: "four", 5: "five", 10: "ten"}
	for page, sentences := range map[string][]string{
		"sessions.md": {
			fmt.Sprintf("within %s, for pages of the origin that requested it. The store keeps only its hash", inSeconds(wsauth.TicketLife)),
			fmt.Sprintf("allows %d sockets per user (`max_sockets`)", proxy.DefaultMaxSockets),
			fmt.Sprintf("%d in total, %d per address (`Unauthenticated`", proxy.DefaultUnauthenticated, proxy.DefaultUnauthenticatedPerAddress),
			fmt.Sprintf("A node holds at most %d,000 such revocations", revindex.DefaultMaxHeld/1000),
			"is dropped " + oneOf(t, store.ClockSlack, time.Hour, "an hour") + " after the last token",
			fmt.Sprintf("set back by more than %s, tokens", inSeconds(store.ClockStep)),
			fmt.Sprintf("set back by at most %s, the time since the refresh is treated as zero", inSeconds(store.ClockStep)),
			"set back by more than " + oneOf(t, store.ClockSlack, time.Hour, "an hour") + ", a revoked token",
			"requests that take longer than a second",
		},
		"gateway.md": {
			fmt.Sprintf("returns more than %s times is refused with 508", words[proxy.MaxRounds]),
			fmt.Sprintf("an object, more than %s)", inBytes(proxy.MaxHeaderText)),
			fmt.Sprintf("makes no progress for %v seconds with 408", proxy.Patience.Seconds()),
			fmt.Sprintf("a ping every %s", inSeconds(proxy.DefaultPing)),
			"takes longer than a second is registered",
			fmt.Sprintf("cannot be reached is skipped for %s seconds", words[int(proxy.DefaultHealth.Seconds())]),
			fmt.Sprintf("With a health path, each is also checked every %s seconds", words[int(proxy.DefaultHealth.Seconds())]),
			"claims of the client, for " + oneOf(t, proxy.AssertionTTL, time.Minute, "one minute") + " and for the upstreams of this route only",
		},
		"security.md": {
			fmt.Sprintf("%d sockets whose client has not authenticated, %d of one address", proxy.DefaultUnauthenticated, proxy.DefaultUnauthenticatedPerAddress),
			fmt.Sprintf("or after %s.", inSeconds(wsauth.TicketLife)),
			"The gateway ends one that takes longer than a second",
		},
		"errors.md": {
			fmt.Sprintf("no data arrived in the body of a plain request for %s", inSeconds(proxy.Patience)),
			fmt.Sprintf("an endpoint of the gateway itself is longer than %s", inBytes(problem.MaxBody)),
			fmt.Sprintf("returned to the gateway more than %s times", words[proxy.MaxRounds]),
			fmt.Sprintf("or than %s |", inBytes(longestFrame(t))),
		},
		"operations.md": {
			"authenticated clients that have taken longer than a second",
		},
		"configuration.md": {
			"a token signed with the gateway's own key, valid for " + oneOf(t, proxy.AssertionTTL, time.Minute, "a minute"),
			"tickets, each of which is valid for " + oneOf(t, wsauth.TicketLife, time.Minute/2, "half a minute"),
		},
		"../internal/config/example.yaml": {
			"max_tickets: 100000 # each is valid for " + oneOf(t, wsauth.TicketLife, time.Minute/2, "half a minute"),
			fmt.Sprintf("valid once, for %s", inSeconds(wsauth.TicketLife)),
		},
		"../internal/gateway/demo/web/openapi.json": {
			fmt.Sprintf("opens one socket, once, within %.0f seconds", wsauth.TicketLife.Seconds()),
			fmt.Sprintf("The body is longer than %s.", inBytes(problem.MaxBody)),
			fmt.Sprintf("each text message of up to %s is echoed", inBytes(demo.MaxMessage)),
			fmt.Sprintf("%d of one address or %d in total, the handshake is refused over HTTP", proxy.DefaultUnauthenticatedPerAddress, proxy.DefaultUnauthenticated),
			fmt.Sprintf(`"path": { "type": "string", "maxLength": %d,`, 3*urlpath.MaxLength), // each byte may be an escape
			fmt.Sprintf("At most %d bytes; an escape counts as one.", urlpath.MaxLength),
		},
		"../client/README.md": {
			"it is valid once, and for " + oneOf(t, wsauth.TicketLife, time.Minute/2, "half a minute"),
		},
		"../cmd/wsauth/drain.go": {
			"at most " + oneOf(t, front.MaxDrain, time.Hour, "1h") + " (default: the server's setting drain, " + front.DefaultDrain.String() + " if unset)",
		},
	} {
		text := strings.Join(strings.Fields(pageText(t, page)), " ")
		for _, sentence := range sentences {
			if !strings.Contains(text, sentence) {
				t.Errorf("%s does not say %q", page, sentence)
			}
		}
	}
}

// TestPagesNameMetrics checks that every metric that a page names is in the
// table of docs/operations.md, which TestOperationsPage compares with the
// program.
func TestPagesNameMetrics(t *testing.T) {
	documented := map[string]bool{}
	for row := range tableOf(t, "operations.md", "| name | labels | what |") {
		for _, name := range regexp.MustCompile("`(wsauth_\\w+)`").FindAllStringSubmatch(row, -1) {
			documented[name[1]] = true
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bwsauth_[a-z_]+`).FindAllString(string(text), -1) {
			if !documented[name] {
				t.Errorf("%s: there is no metric %s", page, name)
			}
		}
	}
}

// TestAccessLogPage checks that lines of the access log have exactly the
// attributes that docs/operations.md names.
func TestAccessLogPage(t *testing.T) {
	r := serveBehind(t, newBackend(t), withAccessLog)
	access, refresh := r.Login()
	r.get("/a", bearer(access))
	r.get("/a")
	conn := r.socket("/chat", bearer(access))
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(conn, 3000, "session_ended")
	r.wantLine("socket", 1)
	for line, cells := range tableOf(t, "operations.md", "| line | when | attributes |") {
		line = strings.Trim(line, "`")
		want, got := map[string]bool{"time": true, "level": true, "msg": true}, map[string]bool{}
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			want[name[1]] = true
		}
		for _, text := range r.lines(line) {
			for _, name := range regexp.MustCompile(`(?:^| )(\w+)=`).FindAllStringSubmatch(text, -1) {
				got[name[1]] = true
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s (- program, + page):\n%s", line, diff)
		}
	}
}

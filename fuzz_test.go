package wsauth

import (
	"bufio"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/httpx"
)

// seed adds the seeds of a fuzz target. It fails if there are none, because
// plain test runs execute only the seeds.
func seed(f *testing.F, seeds []string) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
}

var querySeeds = []string{
	"", "&", "token=a.b.c", "token=", "token", "a=b&token=a.b.c&c=d", "token=a&token=b", "token=a;token=b", "a=b;token=c", "%74oken=a", "a;%74oken=b",
	"+token=a", "token%20=a", "token=%zz", "%zz=a", "token%zz=a", "tok%65n=a;b", "Token=a", "token[]=a", "=token", "token==a", "a=token=b", "token=a%26token=b",
	"x=%3Btoken=a", ";;token", "token\x00=a", "%00token=a", "\u00a0token=a", "%c2%a0token=a", "token=1+2",
}

// FuzzQuery checks that a parameter that is found is the one that net/url
// finds, given once and plainly. After Strip, no server finds it, even if it
// splits at ";" and trims, and the rest is unchanged.
func FuzzQuery(f *testing.F) {
	seed(f, querySeeds)
	f.Fuzz(func(t *testing.T, query string) {
		const name = "token"
		value, err := queryValue(query, name)
		plain, _ := url.ParseQuery(query) // an error drops only the faulty part
		if given := plain[name]; err == nil && (len(given) > 1 || len(given) == 1 && given[0] != value || len(given) == 0 && value != "") {
			t.Errorf("%q: found %q, net/url found %q", query, value, given)
		}
		if err == nil && value != "" && lenientCount(query, name) != 1 {
			t.Errorf("%q: found %q, a lenient server finds another", query, value)
		}

		r := &http.Request{URL: &url.URL{Path: "/ws", RawQuery: query}, RequestURI: "/ws?" + query}
		stripQuery(r, name)
		left := r.URL.RawQuery
		if value, err := queryValue(left, name); value != "" || err != nil {
			t.Errorf("%q: %q is left, and read as %q, %v", query, left, value, err)
		}
		if plain, _ := url.ParseQuery(left); plain.Has(name) || lenientCount(left, name) != 0 {
			t.Errorf("%q: %q is left", query, left)
		}
		kept := slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool { return lenientCount(part, name) > 0 })
		if want := strings.Join(kept, "&"); left != want {
			t.Errorf("%q: %q is left, want %q", query, left, want)
		}
		want := "/ws"
		if left != "" {
			want += "?" + left
		}
		if left != query && r.RequestURI != want {
			t.Errorf("%q: the target is %q, want %q", query, r.RequestURI, want)
		}
		if left == query && r.RequestURI != "/ws?"+query {
			t.Errorf("%q: the target is changed without need to %q", query, r.RequestURI)
		}
	})
}

// lenientCount returns how often a lenient server finds the parameter: one that
// splits at "&" and ";", unescapes names and trims them.
func lenientCount(query, name string) int {
	n := 0
	for _, part := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); err == nil && strings.TrimSpace(plain) == name {
			n++
		}
	}
	return n
}

var cookieSeeds = []string{
	"", ";", "=", "__Host-access_token_cookie=a.b.c", "a=b; __Host-access_token_cookie=a.b.c; c=d", "a=b;__Host-access_token_cookie=a", "a=b;  __Host-access_token_cookie=a",
	"__Host-access_token_cookie=a; __Host-access_token_cookie=b", "__Host-access_token_cookie=a\n__Host-access_token_cookie=b", "__Host-access_token_cookie",
	"__Host-access_token_cookie; __Host-access_token_cookie=a", "access_token_cookie=a", "__Secure-refresh_token_cookie=a", "\"__Host-access_token_cookie\"=a",
	"__host-access_token_cookie=a", "x; \t__Host-access_token_cookie=a", "x; \xa0__Host-access_token_cookie=a", "x; \u00a0__Host-access_token_cookie=a", "x; __Host-access_token_cookie\x85=a",
	"=__Host-access_token_cookie=a", "csrf_access_token=a; csrf_refresh_token=b", "a=\"b; __Host-access_token_cookie=c\"", "a=b; c; d=", "a=b\nc=d",
	"a=b" + strings.Repeat("\n", mostCookies),
}

// mostCookies is the maximum number of cookies that net/http reads; from a
// request with more it reads none.
const mostCookies = 3000

// FuzzCookies checks that a cookie is found if its name occurs exactly once.
// After Strip, neither this package, net/http nor a reader that trims Latin-1
// finds a cookie of ours, and every other cookie that net/http reads is still
// there, in its order.
func FuzzCookies(f *testing.F) {
	seed(f, cookieSeeds)
	var ours []string
	for _, name := range []string{"access_token_cookie", "refresh_token_cookie"} {
		ours = append(ours, name, hostPrefix+name, securePrefix+name, hostPrefix+securePrefix+name)
	}
	ours = append(ours, "csrf_access_token", "csrf_refresh_token")
	isOurs := func(name string) bool { return slices.Contains(ours, name) }
	others := func(r *http.Request) []string {
		var found []string
		for _, c := range r.Cookies() {
			if !isOurs(c.Name) {
				found = append(found, c.Name+"="+c.Value)
			}
		}
		return found
	}
	f.Fuzz(func(t *testing.T, lines string) {
		r := &http.Request{Header: http.Header{"Cookie": strings.Split(lines, "\n")}, URL: &url.URL{}, Host: "app.example"}
		cookies := Cookies{}
		name := cookies.prefixed(r, cookies.spec("access"))
		if name != "__Host-access_token_cookie" {
			t.Fatalf("the name is %q", name)
		}
		value, err := cookieValue(r, name)
		if pair := name + "=" + value; err == nil && value != "" && exactPairs(lines, name) != 1 {
			t.Errorf("%q: found %q", lines, pair)
		}
		if err != nil && exactPairs(lines, name) < 2 {
			t.Errorf("%q: %v", lines, err)
		}

		before := others(r)
		cookies.Strip(r)
		for _, c := range r.Cookies() {
			if isOurs(c.Name) {
				t.Errorf("%q: net/http finds %v", lines, c)
			}
		}
		for _, line := range r.Header["Cookie"] {
			for part := range strings.SplitSeq(line, ";") {
				name, _, _ := strings.Cut(part, "=")
				if isOurs(latinTrim(name)) {
					t.Errorf("%q: a trimming reader finds %q", lines, part)
				}
			}
		}
		if pairs := strings.Count(lines, "\n") + strings.Count(lines, ";") + 1; pairs > mostCookies {
			return // Strip leaves fewer, so that net/http may read the rest
		}
		if after := others(r); !slices.Equal(before, after) {
			t.Errorf("%q: of %q are left %q", lines, before, after)
		}
	})
}

// exactPairs returns how often a pair begins with exactly this name.
func exactPairs(lines, name string) int {
	n := 0
	for line := range strings.SplitSeq(lines, "\n") {
		for i, pair := range strings.Split(line, ";") {
			if i > 0 {
				pair = strings.TrimPrefix(pair, " ")
			}
			if pair == name || strings.HasPrefix(pair, name+"=") {
				n++
			}
		}
	}
	return n
}

// latinTrim trims like a reader that treats each byte as a character.
func latinTrim(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	trimmed := strings.TrimSpace(string(runes))
	bytes := make([]byte, 0, len(s))
	for _, r := range trimmed {
		bytes = append(bytes, byte(r))
	}
	return string(bytes)
}

// FuzzHeader checks that a token is read only from a single line that consists
// of the scheme, one space and a word. A value that is neither a token nor an
// error has another scheme, stays in the request, and contains no token of
// ours.
func FuzzHeader(f *testing.F) {
	seed(f, []string{
		"", "Bearer a.b.c", "bEaReR a.b.c", "Bearer", "Bearer ", "Bearer  a", "Bearer\ta", "Bearer a b", "Bearer a,b", "Bearer a, Bearer b", "Basic a", "Bearera", "a.b.c",
		"Bearer a\nBearer b", "Bearer a\n", " Bearer a", "Bearer: a", "\u212aearer a",
		"Basic a, Bearer b", "Basic a,bearer\tb", "Basic Bearer a", "Basic\ta", "eyJ.a.b", "eyJ.a.b c", `Digest a="b, c"`, "Basic a\nBasic a", "\"Bearer a\"",
	})
	f.Fuzz(func(t *testing.T, lines string) {
		r := &http.Request{Header: http.Header{"Authorization": strings.Split(lines, "\n")}}
		c, err := Header{}.Extract(r, Access)
		if c.Token != "" && err != nil {
			t.Errorf("%q: %v, %v", lines, c, err)
		}
		if err != nil {
			return
		}
		if c.Token == "" {
			folded := strings.ToLower(lines)
			words := strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune(" \t,\n", r) })
			if slices.Contains(words, "bearer") || strings.HasPrefix(folded, "bearer") || len(words) > 0 && httpx.IsJWS(strings.Fields(lines)[0]) {
				t.Errorf("%q is read as another scheme", lines)
			}
			if (Header{}).Strip(r); r.Header.Get("Authorization") != lines {
				t.Errorf("%q: another scheme's field is gone", lines)
			}
			return
		}
		if scheme, ok := strings.CutSuffix(lines, " "+c.Token); !ok || !strings.EqualFold(scheme, "Bearer") || strings.ContainsAny(c.Token, " \t,\n") {
			t.Errorf("%q: found %q", lines, c.Token)
		}
		Header{}.Strip(r)
		if len(r.Header) != 0 {
			t.Errorf("%q: %v is left", lines, r.Header)
		}
	})
}

// FuzzPathValue checks that a token that is found is in the path as it is, and
// nowhere after Strip.
func FuzzPathValue(f *testing.F) {
	seed(f, []string{"aaa.bbb.ccc", "a.b.c", "aaa.b%62b.ccc", "aaa.bbb%2Eccc", "aaa.bbb.ccc/aaa.bbb.ccc", "%61aa.bbb.ccc", "\"aaa.bbb.ccc", "ws.ws.ws", ".bbb.?.bbb."})
	f.Fuzz(func(t *testing.T, segment string) {
		target, err := url.ParseRequestURI("/ws/" + segment)
		if err != nil {
			return
		}
		r := &http.Request{URL: target, RequestURI: "/ws/" + segment}
		var c Credential
		raw := strings.TrimPrefix(target.Path, "/ws/")
		r.SetPathValue("token", raw)
		if c, err = (PathValue{"token"}).Extract(r, Access); err != nil || len(c.Token) < 5 || strings.Count(c.Token, ".") != 2 {
			return // no token, which would be refused later
		}
		if !strings.Contains(r.RequestURI, c.Token) && strings.ContainsRune(r.RequestURI, '%') {
			t.Errorf("%q: found %q", segment, c.Token)
		}
		(PathValue{"token"}).Strip(r)
		if seen := r.URL.Path + "\n" + r.URL.RawPath + "\n" + r.RequestURI + "\n" + r.PathValue("token"); strings.Contains(seen, c.Token) {
			t.Errorf("%q: left in %q", segment, seen)
		}
	})
}

const goodHandshake = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// FuzzHandshake checks that every accepted handshake meets RFC 6455 section
// 4.2.1, with an independent check of each condition.
func FuzzHandshake(f *testing.F) {
	good := goodHandshake
	if r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(good))); err != nil || checkHandshake(r) != nil {
		f.Fatal("the valid handshake is refused, so no seed would be accepted")
	}
	var seeds []string
	for _, c := range [][2]string{
		{"", ""}, {"GET", "POST"}, {"1.1", "1.0"}, {"/ws", "http://b/ws"}, {"/ws", "*"}, {"/ws", "/ws?u=http://b"}, {"Host: a\r\n", ""}, {"websocket", "WebSocket"}, {"websocket", "h2c, websocket"}, {"websocket", "h2C"},
		{"Upgrade\r\n", "keep-alive, Upgrade\r\n"}, {"13", "8"}, {"13\r\n", "13\r\nSec-WebSocket-Version: 13\r\n"}, {"==", ""}, {"dGhl", "!!!!"}, {"\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"},
		{"\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, {"GET /ws", "CONNECT a:1"},
	} {
		seeds = append(seeds, strings.Replace(good, c[0], c[1], 1))
	}
	seed(f, seeds)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		upgrade := isUpgrade(r)
		if h2c := len(r.Header["Upgrade"]) == 1 && strings.EqualFold(r.Header["Upgrade"][0], "h2c"); !upgrade && (r.Header["Upgrade"] != nil && !h2c || r.Method == "CONNECT") {
			t.Errorf("%q is treated as a plain request", raw)
		}
		if !upgrade {
			if httpx.StripUpgrade(r.Header); r.Header["Upgrade"] != nil {
				t.Errorf("%q: the offer to upgrade is left", raw)
			}
			return
		}
		if checkHandshake(r) != nil {
			return
		}
		key, keyErr := base64.StdEncoding.DecodeString(strings.Join(r.Header["Sec-Websocket-Key"], ","))
		switch {
		case r.Method != "GET", r.ProtoMajor != 1 || r.ProtoMinor < 1, r.Host == "", r.RequestURI == "" || r.RequestURI[0] != '/':
			t.Errorf("%q: request line and host", raw)
		case len(r.Header["Upgrade"]) != 1 || !strings.EqualFold(r.Header["Upgrade"][0], "websocket"):
			t.Errorf("%q: Upgrade", raw)
		case !strings.Contains(strings.ToLower(strings.Join(r.Header["Connection"], ",")), "upgrade"):
			t.Errorf("%q: Connection", raw)
		case strings.Join(r.Header["Sec-Websocket-Version"], ",") != "13":
			t.Errorf("%q: version", raw)
		case keyErr != nil || len(key) != 16:
			t.Errorf("%q: key", raw)
		case r.ContentLength != 0 || r.TransferEncoding != nil:
			t.Errorf("%q: body", raw)
		}
	})
}

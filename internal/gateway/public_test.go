package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/logintest"
	"wsauth/token"
)

// foreignJWT is a token of another issuer.
var foreignJWT = unsignedJWT(`{"alg":"HS256","typ":"JWT","kid":"theirs"}`, `{"iss":"https://their.example","sub":"ada"}`)

// unsignedJWT returns an unsigned token with any header and payload.
func unsignedJWT(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode([]byte("signature"))
}

// TestPublicMeansUntouched checks that the upstream of a public route gets the
// credentials of the application's own clients unchanged, in requests and
// handshakes.
func TestPublicMeansUntouched(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Tokens.Issuer = "https://login.example" })
	for _, query := range []string{
		"", "?access_token=theirs", "?access_token=" + foreignJWT, "?token=" + foreignJWT + "&x", "?ticket=ST-1-abc", "?ticket=a&ticket=b",
		"?ticket=" + foreignJWT, "?csrf_token=theirs", "?%74icket=a;b", "?a=%zz&access_token=%", "?newst_id=1",
	} {
		for _, lines := range [][]string{
			{},
			{"Authorization: Basic YTpi"},
			{"Authorization: Bearer theirs"},
			{"Authorization: Bearer " + foreignJWT},
			{"Authorization: " + foreignJWT},
			{"Authorization: Digest a=\"b\", c=d"},
			{"Authorization: Basic YTpi", "Authorization: Bearer " + foreignJWT},
			{"X-Csrf-Token: theirs", "Cookie: theirs=" + foreignJWT + "; a=\"b\";; c"},
			{"Cookie: session=a", "Cookie: session=b; jwt=eyJhbGciOiJub25lIn0.e30."},
			{"X-Api-Key: eyJ.eyJ.eyJ", "Referer: https://app.example/?ticket=ST-1&token=" + foreignJWT},
			{"Sec-Websocket-Protocol: bearer, " + foreignJWT + ", chat"},
		} {
			for what, more := range map[string][]string{"a request": {"Connection: close"}, "a socket": upgradeLines} {
				n := b.count()
				e := r.callUnchanged("GET /public/chat"+query+" HTTP/1.1", slices.Concat(lines, more)...)
				if want := map[string]int{"a request": 200, "a socket": 101}[what]; e.StatusCode != want || b.count() != n+1 {
					t.Errorf("%s, %s, %q: got %d %s", what, query, lines, e.StatusCode, e.Text)
					continue
				}
				got := b.last()
				if got.RequestURI != "/public/chat"+query {
					t.Errorf("%s: the upstream got %s, want the query %s", what, got.RequestURI, query)
				}
				sent := http.Header{}
				for _, line := range lines {
					name, value, _ := strings.Cut(line, ": ")
					sent.Add(name, value)
				}
				for name, values := range sent {
					if !slices.Equal(got.Header[name], values) {
						t.Errorf("%s: %s arrives as %q, sent was %q", what, name, got.Header[name], values)
					}
				}
			}
		}
	}
}

// TestOwnTokensReachNoUpstream checks that the gateway's tokens, in any place,
// reach an upstream only if its route keeps credentials, and that the rest of
// the request arrives.
func TestOwnTokensReachNoUpstream(t *testing.T) {
	b := newBackend(t)
	const issuer = "https://login.example"
	r := serveBehind(t, b, func(c *Config) {
		c.Tokens.Issuer = issuer
		c.Routes = append(c.Routes,
			proxy.Route{Path: "/cookies/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.Cookies{Access: wsauth.CookieSpec{Name: "mine"}, InsecureNoCSRF: true}}, AppParameters: []string{"*"}, Requirement: wsauth.Optional},
			proxy.Route{Path: "/keeps/", Upstreams: []string{b.URL}, Public: true, Sockets: true, KeepCredential: true},
		)
	})
	access, refresh := r.Login()
	ticket := r.Ticket(access)
	key, err := r.g.config.Tokens.Keys.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, own := range map[string]string{
		"access":     access,
		"refresh":    refresh,
		"ticket":     ticket,
		"our kid":    unsignedJWT(`{"alg":"none","kid":"`+key.ID()+`"}`, `{}`),
		"our issuer": unsignedJWT(`{"alg":"RS256","kid":"theirs"}`, `{"iss":"`+issuer+`"}`),
		"no kid":     unsignedJWT(`{"alg":"RS256"}`, `{"sub":"x","iss":"`+issuer+`"}`),
		"twice":      unsignedJWT(`{"kid":"x","kid":"`+key.ID()+`"}`, `{}`),
		"escaped":    unsignedJWT(`{"\u006bid":"`+key.ID()+`"}`, `{}`),
	} {
		nested := base64.RawURLEncoding.EncodeToString([]byte(own))
		isTicket := name == "ticket"
		for _, c := range []struct {
			query, wantQuery string
			line, wantLine   string
		}{
			{line: "Authorization: Bearer " + own},
			{line: "Authorization: bearer  " + own},
			{line: "Authorization: " + own},
			{line: "Authorization: DPoP " + own},
			{line: "Authorization: Basic x, Bearer " + own},
			{line: "X-Access-Token: " + own},
			{line: "X-Forward: {\"token\":\"" + own + "\"}"},
			{line: "Referer: https://app.example/?x=1&ticket=" + own},
			{line: "Referer: https://app.example/?x=1&ticket=" + strings.Replace(own, "_", "%5f", 1) + "%20"},
			{query: "?ticket=" + own},
			{query: "?token=" + own},
			{query: "?a=1&access_token=" + own + "&b=2", wantQuery: "?a=1&b=2"},
			{query: "?%74oken=" + own + "&b=2", wantQuery: "?b=2"},
			{query: "?b=2&x=" + "%" + fmt.Sprintf("%02X", own[0]) + own[1:], wantQuery: "?b=2"},
			{query: "?b=2;token=" + own},
			{query: "?a=%zz&x=%zz%20" + own, wantQuery: "?a=%zz"},
			{line: "Cookie: a=1; mine2=" + own + "; b=2", wantLine: "a=1; b=2"},
			{line: "Cookie: a=1;theirs=\"" + own + "\"", wantLine: "a=1"},
			{line: "Cookie: jwt=" + own + "; b=2", wantLine: "b=2"},
			{line: "Sec-Websocket-Protocol: bearer, " + own + ", chat", wantLine: "bearer, chat"},
			{line: "Sec-Websocket-Protocol: " + own + ", chat", wantLine: "chat"},
			{line: "Sec-Websocket-Protocol: bearer." + own},
			{line: "Sec-Websocket-Protocol: base64url.bearer.authorization.k8s.io." + nested + ", chat", wantLine: map[bool]string{false: "chat", true: "base64url.bearer.authorization.k8s.io." + nested + ", chat"}[isTicket]},
		} {
			for _, path := range []string{"/public/chat", "/cookies/chat", "/keeps/chat"} {
				for what, more := range map[string][]string{"a request": {"Connection: close"}, "a socket": upgradeLines} {
					lines := more
					if c.line != "" {
						lines = append([]string{c.line}, more...)
					}
					n := b.count()
					e := r.callUnchanged("GET "+path+c.query+" HTTP/1.1", lines...)
					if b.count() != n+1 {
						t.Errorf("%s, %s, %s%s %q: got %d %s", what, name, path, c.query, c.line, e.StatusCode, e.Text)
						continue
					}
					got := b.last()
					wantQuery, wantLine := c.wantQuery, c.wantLine
					field, sent, _ := strings.Cut(c.line, ": ")
					if strings.HasPrefix(path, "/keeps") {
						wantQuery, wantLine = c.query, sent
					}
					if got.RequestURI != path+wantQuery {
						t.Errorf("%s, %s: the upstream got %s, want %s", what, name, got.RequestURI, path+wantQuery)
					}
					if field != "" && got.Header.Get(field) != wantLine {
						t.Errorf("%s, %s on %s: %s arrives as %q, want %q", what, name, path, field, got.Header.Get(field), wantLine)
					}
				}
			}
		}
	}
}

// TestOwnTokensOfNamelessKeys checks that the gateway recognizes its tokens by
// the signature alone if they have no kid and no issuer.
func TestOwnTokensOfNamelessKeys(t *testing.T) {
	key := must(token.NewKey(token.HS256, []byte("01234567890123456789012345678901"), token.KeyOptions{}))
	other := must(token.NewKey(token.HS256, []byte("x1234567890123456789012345678901"), token.KeyOptions{}))
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Tokens.Keys = must(token.NewKeySet(key)) })
	access, _ := r.Login()
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: other}))
	theirs := must(issuer.Access("ada", token.Options{})).Raw
	for own, want := range map[string]string{access: "", theirs: "Bearer " + theirs} {
		r.get("/public/x", bearer(own))
		if got := b.last().Header.Get("Authorization"); got != want {
			t.Errorf("Authorization arrives as %q, want %q", got, want)
		}
	}
}

// TestOwnCookiesOnly checks that a gateway without logins has no cookies, so
// that all cookies of a public route are the application's.
func TestOwnCookiesOnly(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Login.Users = nil })
	const jar = "access_token_cookie=theirs; csrf_access_token=x"
	r.get("/public/x", "Cookie: "+jar)
	if got := b.last().Header.Get("Cookie"); got != jar {
		t.Errorf("Cookie: %q", got)
	}
}

// TestAnyOriginOfARoute checks that pages of every origin open sockets on a
// route with AnyOrigin, and only those of listed origins on others. The cookies
// of the login never suffice there.
func TestAnyOriginOfARoute(t *testing.T) {
	b := newBackend(t)
	tokens := []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Subprotocol{}}
	r := serveBehind(t, b, func(c *Config) {
		c.Origins = []string{"https://app.example"}
		c.Routes = append(c.Routes,
			proxy.Route{Path: "/public/any", Upstreams: []string{b.URL}, Public: true, Sockets: true, AnyOrigin: true},
			proxy.Route{Path: "/any", Upstreams: []string{b.URL}, Extractors: tokens, AnyOrigin: true},
			proxy.Route{Path: "/optional", Upstreams: []string{b.URL}, Extractors: tokens, AnyOrigin: true, Requirement: wsauth.Optional},
		)
	})
	access, _ := r.Login()
	const jar = "Cookie: theirs=1; access_token_cookie="
	for _, origin := range []string{"Origin: https://evil.example", "Origin: null", "Origin: https://app.example", "X-None: x"} {
		open := func(path string, lines ...string) logintest.Answer {
			return r.callUnchanged("GET "+path+" HTTP/1.1", slices.Concat(upgradeLines, []string{origin}, lines)...)
		}
		for path, c := range map[string]struct {
			lines  []string
			status int
			user   string
		}{
			"/public/any":      {[]string{jar + access}, 101, ""},
			"/any":             {[]string{bearer(access), jar + access}, 101, "test"},
			"/any?csrf_token=": {[]string{jar + access}, 401, ""},
			"/optional":        {[]string{jar + access}, 101, ""},
		} {
			n := b.count()
			e := open(path, c.lines...)
			if e.StatusCode != c.status {
				t.Errorf("%s from %s: %d %s", path, origin, e.StatusCode, e.Text)
			}
			if c.status != 101 {
				continue
			}
			if got := b.last().Header; b.count() != n+1 || got.Get("Cookie") != "theirs=1" || got.Get("X-User") != c.user || got.Get("Authorization") != "" {
				t.Errorf("%s from %s: the backend has %v", path, origin, got)
			}
		}
		if e := open("/public/chat"); (e.StatusCode == 101) != (!strings.Contains(origin, "evil") && !strings.Contains(origin, "null")) {
			t.Errorf("another public route from %s: %d", origin, e.StatusCode)
		}
	}
}

// TestAnyOriginNeedsNoCookies checks that a route with AnyOrigin must not read
// cookies, not even by default.
func TestAnyOriginNeedsNoCookies(t *testing.T) {
	at := []string{"http://127.0.0.1:1"}
	for name, c := range map[string]struct {
		route proxy.Route
		fault string
	}{
		"default":      {proxy.Route{}, "accepts cookies"},
		"own cookies":  {proxy.Route{Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{Access: wsauth.CookieSpec{Name: "mine"}}}}, "accepts cookies"},
		"optional":     {proxy.Route{Requirement: wsauth.Optional}, "accepts cookies"},
		"and origins":  {proxy.Route{Public: true, Origins: []string{"https://app.example"}}, "cannot be combined"},
		"public":       {proxy.Route{Public: true, Sockets: true}, ""},
		"tokens":       {proxy.Route{Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.FirstMessage{}}}, ""},
		"not asked":    {proxy.Route{Public: true, AppParameters: []string{"*"}}, "reads no parameters"},
		"read already": {proxy.Route{Public: false, Extractors: []wsauth.Extractor{wsauth.Query{Name: "q"}}, AppParameters: []string{"q"}}, "an extractor reads q"},
	} {
		c.route.Path, c.route.Upstreams, c.route.AnyOrigin = "/", at, true
		key := must(token.GenerateKey(token.HS256))
		_, err := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Routes: []proxy.Route{c.route}}.Check()
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAppParametersOfARoute checks that the parameters of the application reach
// the upstream unless they contain one of our tokens.
func TestAppParametersOfARoute(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, proxy.Route{Path: "/app/", Upstreams: []string{b.URL}, AppParameters: []string{"access_token", "token"}})
	})
	csrf, _ := r.LoginCookies()
	access, _ := r.Login()
	for query, want := range map[string]string{
		"access_token=theirs":                     "access_token=theirs",
		"token=" + foreignJWT:                     "token=" + foreignJWT,
		"access_token=a&access_token=b&x":         "access_token=a&access_token=b&x",
		"ticket=ST-1":                             "ticket=ST-1",
		"a=1&token=" + access:                     "a=1",
		"access_token=" + url.QueryEscape(access): "",
	} {
		for what, call := range map[string]func(path string) int{
			"request": func(path string) int { return r.Call("GET", path, "").StatusCode },
			"socket": func(path string) int {
				conn, resp, err := r.DialPath(path+"&csrf_token="+csrf, nil, "Origin: "+r.URL)
				if err != nil {
					return resp.StatusCode
				}
				conn.CloseNow()
				return 200
			},
		} {
			if status := call("/app/chat?" + query); status != 200 {
				t.Errorf("%s, %s: got %d, want %v", what, query, status, 200)
				continue
			}
			if got := b.last(); got.URL.RawQuery != want || got.Header.Get("X-User") != "test" {
				t.Errorf("%s, %s: the backend has %s %v", what, query, got.RequestURI, got.Header)
			}
			if strings.Contains(query, "ST-1") {
				continue
			}
			n := b.count()
			if status := call("/chat?" + query); status != 400 || b.count() != n {
				t.Errorf("%s, %s on another route: %d", what, query, status)
			}
		}
	}
	if !strings.Contains(r.log.String(), "AppParameters") {
		t.Error("the log does not name the setting")
	}
}

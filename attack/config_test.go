package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth"
)

// TestConfig checks that New refuses invalid settings, and that each line of
// the error names a field.
func TestConfig(t *testing.T) {
	verifier := newVerifier(t, 0)
	at := func(l ...wsauth.Extractor) wsauth.Config { return wsauth.Config{Verifier: verifier, Extractors: l} }
	from := func(o ...string) wsauth.Config { return wsauth.Config{Verifier: verifier, Origins: o} }
	jar := func(c wsauth.Cookies) wsauth.Config { return at(c) }
	var nilCookies *wsauth.Cookies
	for name, c := range map[string]struct {
		config wsauth.Config
		faults []string // parts of the error; none if the configuration is valid
	}{
		"least":               {wsauth.Config{Verifier: verifier}, nil},
		"all":                 {at(wsauth.Header{Name: "X-Token", NoScheme: true}, wsauth.Cookies{}, wsauth.Query{Name: "t"}, wsauth.PathValue{Name: "t"}), nil},
		"origins":             {from("https://app.example", "http://localhost:8000", "http://[::1]:8000", "chrome-extension://abcdef", "https://xn--bcher-kva.example"), nil},
		"any_origin":          {wsauth.Config{Verifier: verifier, InsecureAnyOrigin: true}, nil},
		"methods":             {jar(wsauth.Cookies{CSRFMethods: []string{"GET", "PURGE"}}), nil},
		"nothing":             {wsauth.Config{}, []string{"Config.Verifier"}},
		"extractor_nil":       {at(wsauth.Header{}, nil), []string{"Config.Extractors[1]: nil"}},
		"cookies_nil":         {at(nilCookies), []string{"Config.Extractors[0]: nil"}},
		"query_unnamed":       {at(wsauth.Query{}), []string{"Config.Extractors[0]: Query: Name"}},
		"query_name":          {at(wsauth.Query{Name: "a b"}), []string{"Config.Extractors[0]: Query: Name"}},
		"query_ampersand":     {at(wsauth.Query{Name: "a&b"}), []string{"Config.Extractors[0]: Query: Name"}},
		"path_unnamed":        {at(wsauth.PathValue{}), []string{"Config.Extractors[0]: PathValue: Name"}},
		"header_name":         {at(wsauth.Header{Name: "X Token"}), []string{"Config.Extractors[0]: Header: Name"}},
		"header_scheme":       {at(wsauth.Header{Scheme: "My Scheme"}), []string{"Config.Extractors[0]: Header: Name and Scheme"}},
		"header_cookie":       {at(wsauth.Header{Name: "cookie", NoScheme: true}), []string{"Config.Extractors[0]: Header: browsers send the Cookie header"}},
		"header_contradicts":  {at(wsauth.Header{Scheme: "JWT", NoScheme: true}), []string{"Config.Extractors[0]: Header: NoScheme"}},
		"cookie_name":         {jar(wsauth.Cookies{Access: wsauth.CookieSpec{Name: "a b"}}), []string{"Config.Extractors[0]: Cookies: Access.Name: \"a b\" is not a valid cookie name"}},
		"cookie_names_equal":  {jar(wsauth.Cookies{Access: wsauth.CookieSpec{Name: "x"}, Refresh: wsauth.CookieSpec{Name: "x"}}), []string{"Config.Extractors[0]: Cookies: Refresh.Name: two cookies have the name x"}},
		"cookie_csrf_equal":   {jar(wsauth.Cookies{Access: wsauth.CookieSpec{CSRFName: "access_token_cookie"}}), []string{"two cookies have the name access_token_cookie"}},
		"cookie_age":          {jar(wsauth.Cookies{MaxAge: -time.Second}), []string{"MaxAge is negative"}},
		"cookie_none":         {jar(wsauth.Cookies{SameSite: http.SameSiteNoneMode, InsecureHTTP: true}), []string{"SameSite=None needs Secure"}},
		"methods_in_small":    {jar(wsauth.Cookies{CSRFMethods: []string{"post"}}), []string{"CSRFMethods"}},
		"methods_empty":       {jar(wsauth.Cookies{CSRFMethods: []string{""}}), []string{"CSRFMethods"}},
		"any_and_some_origin": {wsauth.Config{Verifier: verifier, InsecureAnyOrigin: true, Origins: []string{origin}}, []string{"Config.InsecureAnyOrigin"}},
		"S3/star":             {from("*"), []string{"Config.Origins[0]", "patterns are not supported"}},
		"S3/wildcard":         {from(origin, "https://*.example"), []string{"Config.Origins[1]", "patterns are not supported"}},
		"origin_null":         {from("null"), []string{"Config.Origins[0]"}},
		"origin_empty":        {from(""), []string{"Config.Origins[0]"}},
		"origin_bare":         {from("app.example"), []string{"Config.Origins[0]"}},
		"origin_bare_port":    {from("app.example:8000"), []string{"Config.Origins[0]"}},
		"origin_slash":        {from("https://app.example/"), []string{"Config.Origins[0]", `"https://app.example"`}},
		"origin_path":         {from("https://app.example/ws"), []string{"Config.Origins[0]"}},
		"origin_no_host":      {from("https://:8000"), []string{"Config.Origins[0]", "is not an origin"}},
		"origin_query":        {from("https://app.example?x"), []string{"Config.Origins[0]"}},
		"origin_fragment":     {from("https://app.example#x"), []string{"Config.Origins[0]"}},
		"origin_user":         {from("https://me@app.example"), []string{"Config.Origins[0]"}},
		"origin_case":         {from("https://App.Example"), []string{"Config.Origins[0]", `"https://app.example"`}},
		"origin_default_port": {from("https://app.example:443"), []string{"Config.Origins[0]", "leave out port 443"}},
		"origin_empty_port":   {from("https://app.example:"), []string{"Config.Origins[0]"}},
		"origin_spaces":       {from(" https://app.example"), []string{"Config.Origins[0]"}},
		"origin_unicode":      {from("https://bücher.example"), []string{"Config.Origins[0]"}},
		"refusal":             {wsauth.Config{Verifier: verifier, Refusal: 2}, []string{"Config.Refusal: 2"}},
		"refusal_negative":    {wsauth.Config{Verifier: verifier, Refusal: -1}, []string{"Config.Refusal: -1"}},
		"all_at_once": {
			wsauth.Config{Extractors: []wsauth.Extractor{nil, wsauth.Query{}, nilCookies}, Origins: []string{"*", "x"}, InsecureAnyOrigin: true, Refusal: 9},
			[]string{"Config.Verifier", "Extractors[0]", "Extractors[1]", "Extractors[2]", "Origins[0]", "Origins[1]", "InsecureAnyOrigin", "Refusal"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := wsauth.New(c.config)
			if len(c.faults) == 0 {
				if err != nil || guard == nil {
					t.Errorf("New: %v", err)
				}
				return
			}
			if err == nil || guard != nil {
				t.Fatalf("New accepts it: %v", err)
			}
			for _, f := range c.faults {
				if !strings.Contains(err.Error(), f) {
					t.Errorf("%q is not in\n%v", f, err)
				}
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "wsauth: Config.") && !strings.HasPrefix(line, "Cookies: ") {
					t.Errorf("the line %q names no field", line)
				}
			}
		})
	}
}

// TestRequire checks that Require panics on an unknown requirement when the
// program starts, not at the first request.
func TestRequire(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []wsauth.Requirement{-1, 4} {
		func() {
			defer func() {
				if got, want := recover(), fmt.Sprintf("wsauth: Require(%v)", q); got != want {
					t.Errorf("panics with %v, want %s", got, want)
				}
			}()
			guard.Require(q)
		}()
	}
}

package attack

import (
	"crypto/tls"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

func cookieTarget(t *testing.T, c wsauth.Cookies) *target {
	t.Helper()
	return newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{c}, Origins: []string{origin}})
}

// TestCrossSiteOrigins checks that handshakes of other origins are refused even
// with a valid cookie and CSRF value: C1 to C11, C16 and C18.
func TestCrossSiteOrigins(t *testing.T) {
	alice := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	jar, value := cookie(alice.Raw), csrf(alice.Claims.CSRF)
	const refused = wsauth.OriginNotAllowed
	for mode, c := range map[string]wsauth.Cookies{"csrf": {}, "no_csrf": {InsecureNoCSRF: true}} {
		t.Run(mode, func(t *testing.T) {
			x := cookieTarget(t, c)
			var refusals []refusalCase
			for _, v := range wstest.Vectors(t, "testdata/origins") {
				refusals = append(refusals, refusalCase{v.String(), upgrade("/access", jar, value, "Origin: "+v.Text), wsauth.Reason(v.Expect)})
			}
			x.wantRefusals(t, append(refusals,
				refusalCase{"C7/two_lines", upgrade("/access", jar, value, fromOurs, "Origin: https://evil.example"), refused},
				refusalCase{"C7/two_lines_reversed", upgrade("/access", jar, value, "Origin: https://evil.example", fromOurs), refused},
				refusalCase{"C7/two_equal_lines", upgrade("/access", jar, value, fromOurs, fromOurs), refused},
				refusalCase{"C11/cross_site", upgrade("/access", jar, value, fromOurs, "Sec-Fetch-Site: cross-site"), refused},
				refusalCase{"C11/same_origin", upgrade("/access", jar, value, fromOurs, "Sec-Fetch-Site: same-origin"), ""},
				refusalCase{"C3/good", upgrade("/access", jar, value, fromOurs), ""},
			))
		})
	}
	protected, open := cookieTarget(t, wsauth.Cookies{}), cookieTarget(t, wsauth.Cookies{InsecureNoCSRF: true})
	open.wantRefusals(t, []refusalCase{{"C1/missing_without_csrf", upgrade("/access", jar), refused}})
	protected.wantRefusals(t, []refusalCase{
		{"C1/missing_with_csrf", upgrade("/access", jar, value), ""},
		{"C1/missing_with_csrf_of_a_stranger", upgrade("/access", jar, csrf("x")), wsauth.CSRFMismatch},
		{"C16/csrf_good_origin_bad", upgrade("/access", jar, value, "Origin: https://evil.example"), refused},
		{"C18/preflight", plain("OPTIONS", "/access", "Origin: https://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-csrf-token"), wsauth.TokenMissing},
	})
}

// TestOwnOrigin checks that by default, only the request's own origin is
// allowed.
func TestOwnOrigin(t *testing.T) {
	tok := access(t)
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0)})
	x.wantRefusals(t, []refusalCase{
		{"C3/own", upgrade("/access", bearer(tok), "Origin: http://app.example"), ""},
		{"C3/own_without_origin", upgrade("/access", bearer(tok)), ""},
		{"C6/https_for_http", upgrade("/access", bearer(tok), "Origin: https://app.example"), wsauth.OriginNotAllowed},
		{"C5/port", upgrade("/access", bearer(tok), "Origin: http://app.example:8080"), wsauth.OriginNotAllowed},
		{"C11/cross_site", upgrade("/access", bearer(tok), "Origin: http://app.example", "Sec-Fetch-Site: cross-site"), wsauth.OriginNotAllowed},
		{"C11/same_site", upgrade("/access", bearer(tok), "Origin: http://app.example", "Sec-Fetch-Site: same-site"), wsauth.OriginNotAllowed},
		{"C11/nonsense", upgrade("/access", bearer(tok), "Origin: http://app.example", "Sec-Fetch-Site: x"), wsauth.OriginNotAllowed},
		{"C3/forwarded_host_is_not_believed", upgrade("/access", bearer(tok), "Origin: http://evil.example", "X-Forwarded-Host: evil.example"), wsauth.OriginNotAllowed},
		{"C3/before_the_credential", upgrade("/access", "Origin: http://evil.example"), wsauth.OriginNotAllowed},
	})
	for name, c := range map[string]struct {
		host, origin string
		want         wsauth.Reason
	}{
		"C6/over_tls":              {"app.example", "https://app.example", ""},
		"C6/http_for_tls":          {"app.example", "http://app.example", wsauth.OriginNotAllowed},
		"C5/own_port_in_host":      {"APP.example:443", "https://app.example", ""},
		"C5/own_port_in_origin":    {"app.example", "https://app.example:443", wsauth.OriginNotAllowed},
		"C5/port_80_is_not_tls's":  {"app.example:80", "https://app.example", wsauth.OriginNotAllowed},
		"C5/port":                  {"app.example:8443", "https://app.example:8443", ""},
		"C4/trailing_dot_over_tls": {"app.example", "https://app.example.", wsauth.OriginNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, upgrade("/access", bearer(tok), "Origin: "+c.origin))
			r.Host, r.TLS = c.host, &tls.ConnectionState{}
			if _, err := x.guard.Check(r, wsauth.Access); reasonOf(err) != c.want {
				t.Errorf("Check: %v, want %q", err, c.want)
			}
		})
	}
	anyone := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), InsecureAnyOrigin: true})
	anyone.wantRefusals(t, []refusalCase{{"C3/insecure_any_origin", upgrade("/access", bearer(tok), "Origin: http://evil.example"), ""}})
}

// TestDoubleSubmit checks that a valid cookie is refused with an invalid CSRF
// value: C12 to C15 and C17.
func TestDoubleSubmit(t *testing.T) {
	options := token.Options{CSRF: true, SessionID: "one"}
	alice := issue(t, token.TypeAccess, "alice", options)
	otherSession := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true, SessionID: "two"})
	bob := issue(t, token.TypeAccess, "bob", options)
	withoutCSRF := issue(t, token.TypeAccess, "alice", token.Options{})
	refresh := issue(t, token.TypeRefresh, "alice", options)
	jar, value := cookie(alice.Raw), alice.Claims.CSRF
	form := []string{"Origin: https://evil.example", "Content-Type: text/plain", "Content-Length: 0"}
	const refused = wsauth.CSRFMismatch
	x := cookieTarget(t, wsauth.Cookies{})
	x.wantRefusals(t, []refusalCase{
		{"C12/missing", upgrade("/access", jar, fromOurs), refused},
		{"C12/empty", upgrade("/access", jar, csrf(""), fromOurs), refused},
		{"C12/truncated", upgrade("/access", jar, csrf(value[:35]), fromOurs), refused},
		{"C12/longer", upgrade("/access", jar, csrf(value+"0"), fromOurs), refused},
		{"C12/another_case", upgrade("/access", jar, csrf(strings.ToUpper(value)), fromOurs), refused},
		{"C12/not_ascii", upgrade("/access", jar, csrf("é"), fromOurs), refused},
		{"C12/query_empty", upgrade("/access?csrf_token=", jar, fromOurs), refused},
		{"C12/query_twice", upgrade("/access?csrf_token="+value+"&csrf_token=x", jar, fromOurs), wsauth.InvalidRequest},
		{"C12/header_bad_query_good", upgrade("/access?csrf_token="+value, jar, csrf("x"), fromOurs), refused},
		{"C13/of_another_user", upgrade("/access", jar, csrf(bob.Claims.CSRF), fromOurs), refused},
		{"C13/of_another_session", upgrade("/access", jar, csrf(otherSession.Claims.CSRF), fromOurs), refused},
		{"C13/of_the_refresh_token", upgrade("/access", jar, csrf(refresh.Claims.CSRF), fromOurs), refused},
		{"C14/both_planted", upgrade("/access", jar+"; csrf_access_token=planted", csrf("planted"), fromOurs), refused},
		{"C14/cookie_alone", upgrade("/access", jar+"; csrf_access_token="+value, fromOurs), refused},
		{"C14/token_without_csrf", upgrade("/access", cookie(withoutCSRF.Raw)+"; csrf_access_token=x", csrf("x"), fromOurs), refused},
		{"C14/token_without_csrf_and_empty_value", upgrade("/access", cookie(withoutCSRF.Raw), csrf(""), fromOurs), refused},
		{"C15/before_login", upgrade("/access", cookie(otherSession.Raw), csrf(value), fromOurs), refused},
		{"C17/form", plain("POST", "/access", append(form, jar)...), refused},
		{"C17/form_with_query", plain("POST", "/access?csrf_token="+value, append(form, jar)...), refused},
		{"C17/form_refresh", plain("POST", "/refresh", append(form, "Cookie: __Host-refresh_token_cookie="+refresh.Raw)...), refused},
		{"C17/put", plain("PUT", "/access", append(form, jar)...), refused},
		{"C17/patch", plain("PATCH", "/access", append(form, jar)...), refused},
		{"C17/delete", plain("DELETE", "/access", append(form, jar)...), refused},
		{"C17/form_optional", plain("POST", "/optional", append(form, jar)...), refused},
		{"C17/form_fresh", plain("POST", "/fresh", append(form, jar)...), refused},
		{"C12/good_header", upgrade("/access", jar, csrf(value), fromOurs), ""},
		{"C12/good_query", upgrade("/access?csrf_token="+value, jar, fromOurs), ""},
		{"C17/good_post", plain("POST", "/access", jar, csrf(value), "Content-Length: 0"), ""},
		{"C17/get_needs_none", plain("GET", "/access", jar), ""},
		{"C17/head_needs_none", plain("HEAD", "/access", jar), ""},
		{"C17/refresh_by_its_own_value", plain("POST", "/refresh", "Cookie: __Host-refresh_token_cookie="+refresh.Raw, csrf(refresh.Claims.CSRF), "Content-Length: 0"), ""},
		{"C17/header_credential_needs_none", plain("POST", "/optional", "Content-Length: 0"), ""},
	})
	customized := cookieTarget(t, wsauth.Cookies{CSRFMethods: []string{"GET", "PURGE"}, Access: wsauth.CookieSpec{CSRFHeader: "x-xsrf"}, CSRFQuery: "x"})
	customized.wantRefusals(t, []refusalCase{
		{"C17/configured_method", plain("GET", "/access", jar), refused},
		{"C17/nonstandard_method", plain("PURGE", "/access", jar), refused},
		{"C17/configured_header", plain("GET", "/access", jar, "X-XSRF: "+value), ""},
		{"C17/not_configured_method", plain("POST", "/access", jar, "Content-Length: 0"), ""},
		{"C17/configured_parameter", upgrade("/access?x="+value, jar, fromOurs), ""},
		{"C17/default_header_replaced", plain("GET", "/access", jar, csrf(value)), refused},
	})
	onlyPurge := cookieTarget(t, wsauth.Cookies{CSRFMethods: []string{"PURGE"}})
	onlyPurge.wantRefusals(t, []refusalCase{
		{"C17/upgrades_always", upgrade("/access", jar, fromOurs), refused},
		{"C17/get_is_not_configured", plain("GET", "/access", jar), ""},
	})
	unprotected := cookieTarget(t, wsauth.Cookies{InsecureNoCSRF: true})
	unprotected.wantRefusals(t, []refusalCase{{"C17/insecure_no_csrf", plain("POST", "/access", append(form, jar)...), ""}})
}

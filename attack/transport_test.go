package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"wsauth"
	"wsauth/token"
)

// TestTransport checks which requests are refused if they have credentials in
// several places, repeated ones or ambiguous ones: T1 to T4, T6, T7, T9, T12
// and T13.
func TestTransport(t *testing.T) {
	x := newTarget(t, wsauth.Config{
		Verifier:   newVerifier(t, 0),
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Query{Name: "ticket"}},
		Origins:    []string{origin},
	})
	alice := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	bob := access(t)
	a, value := alice.Raw, alice.Claims.CSRF
	const (
		missing   = wsauth.TokenMissing
		malformed = wsauth.InvalidRequest
		invalid   = wsauth.TokenInvalid
	)
	x.wantRefusals(t, []refusalCase{
		{"T1/header_and_cookie", upgrade("/access", bearer(a), cookie(a), csrf(value), fromOurs), malformed},
		{"T1/header_and_cookie_of_others", upgrade("/access", bearer(bob), cookie(a), csrf(value), fromOurs), malformed},
		{"T1/header_and_cookie_without_csrf", upgrade("/access", bearer(bob), cookie(a), fromOurs), malformed},
		{"T1/header_and_cookie_plain", plain("GET", "/access", bearer(bob), cookie(a)), malformed},
		{"T1/header_and_cookie_post", plain("POST", "/access", bearer(bob), cookie(a), "Content-Length: 0"), malformed},
		{"T1/bad_header_and_good_cookie", upgrade("/access", bearer("x"), cookie(a), csrf(value), fromOurs), malformed},
		{"T1/optional", upgrade("/optional", bearer(bob), cookie(a), csrf(value), fromOurs), malformed},
		{"T1/the_other_kind_of_cookie", upgrade("/access", bearer(bob), "Cookie: __Host-refresh_token_cookie="+a, fromOurs), ""},
		{"T2/header_and_query", upgrade("/access?ticket="+a, bearer(a)), malformed},
		{"T2/header_and_query_of_others", upgrade("/access?ticket="+a, bearer(bob)), malformed},
		{"T2/cookie_and_query", upgrade("/access?ticket="+bob, cookie(a), csrf(value), fromOurs), malformed},
		{"T2/all", upgrade("/access?ticket="+bob, bearer(bob), cookie(a), csrf(value), fromOurs), malformed},
		{"T3/two_lines", upgrade("/access", bearer(a), bearer(bob)), malformed},
		{"T3/two_equal_lines", upgrade("/access", bearer(a), bearer(a)), malformed},
		{"T3/good_and_empty_line", upgrade("/access", bearer(a), "Authorization:"), malformed},
		{"T3/list", upgrade("/access", bearer(a)+", Bearer "+bob), malformed},
		{"T3/list_without_space", upgrade("/access", bearer(a)+",Bearer "+bob), malformed},
		{"T4/twice", upgrade("/access?ticket=" + a + "&ticket=" + bob), malformed},
		{"T4/twice_equal", upgrade("/access?ticket=" + a + "&ticket=" + a), malformed},
		{"T4/empty_and_good", upgrade("/access?ticket=&ticket=" + a), malformed},
		{"T4/bare_and_good", upgrade("/access?ticket&ticket=" + a), malformed},
		{"T4/semicolon", upgrade("/access?ticket=" + a + ";ticket=" + bob), malformed},
		{"T4/semicolon_other", upgrade("/access?a=b;ticket=" + a), malformed},
		{"T4/semicolon_after", upgrade("/access?ticket=" + a + ";a=b"), malformed},
		{"T4/escaped", upgrade("/access?%74icket=" + a), malformed},
		{"T4/escaped_and_plain", upgrade("/access?ticket=" + a + "&%74icke%74=" + bob), malformed},
		{"T4/semicolon_escaped", upgrade("/access?a=b;%74icket=" + bob + "&ticket=" + a), malformed},
		{"T4/space", upgrade("/access?+ticket=" + a), malformed},
		{"T4/space_after", upgrade("/access?ticket%20=" + a), malformed},
		{"T4/bad_escape", upgrade("/access?ticket=%zz"), malformed},
		{"T4/another_case", upgrade("/access?Ticket=" + a), missing},
		{"T4/good", upgrade("/access?a=b&ticket=" + a + "&c=%74"), ""},
		{"T6/fragment_of_path", upgrade("/path/x#ticket=" + a), malformed},
		{"T6/fragment_of_query", upgrade("/access?a=b#ticket=" + a), malformed},
		{"T6/fragment_and_header", upgrade("/access?#"+a, bearer(a)), malformed},
		{"T7/twice", upgrade("/access", cookie(a)+"; __Host-access_token_cookie="+bob, csrf(value), fromOurs), malformed},
		{"T7/twice_reversed", upgrade("/access", cookie(bob)+"; __Host-access_token_cookie="+a, csrf(value), fromOurs), malformed},
		{"T7/twice_equal", upgrade("/access", cookie(a)+"; __Host-access_token_cookie="+a, csrf(value), fromOurs), malformed},
		{"T7/two_lines", upgrade("/access", cookie(a), cookie(bob), csrf(value), fromOurs), malformed},
		{"T7/empty_first", upgrade("/access", cookie("")+"; __Host-access_token_cookie="+a, csrf(value), fromOurs), malformed},
		{"T7/without_value_first", upgrade("/access", "Cookie: __Host-access_token_cookie; __Host-access_token_cookie="+a, csrf(value), fromOurs), malformed},
		{"T7/good", upgrade("/access", "Cookie: a=b; __Host-access_token_cookie="+a+"; c", csrf(value), fromOurs), ""},
		{"T7/good_on_the_second_line", upgrade("/access", "Cookie: a=b", cookie(a), csrf(value), fromOurs), ""},
		{"T9/any_case", upgrade("/access", "Authorization: bEaReR "+a), ""},
		{"T9/field_in_any_case", upgrade("/access", "aUTHORIZATION: bearer "+a), ""},
		{"T9/tab", upgrade("/access", "Authorization: Bearer\t"+a), malformed},
		{"T9/two_spaces", upgrade("/access", "Authorization: Bearer  "+a), malformed},
		{"T9/space_and_tab", upgrade("/access", "Authorization: Bearer \t"+a), malformed},
		{"T9/trailing_junk", upgrade("/access", bearer(a)+" x"), malformed},
		{"T9/trailing_parameter", upgrade("/access", bearer(a)+";x=y"), invalid},
		{"T9/no_token", upgrade("/access", "Authorization: Bearer"), malformed},
		{"T9/no_space", upgrade("/access", "Authorization: Bearer"+a), malformed},
		{"T9/colon", upgrade("/access", "Authorization: Bearer: "+a), malformed},
		{"T9/nbsp", upgrade("/access", "Authorization: Bearer\u00a0"+a), malformed},
		{"T9/bare_token", upgrade("/access", "Authorization: "+a), missing},
		{"T12/basic", upgrade("/access", "Authorization: Basic YWxpY2U6c2VjcmV0"), missing},
		{"T12/negotiate", upgrade("/access", "Authorization: Negotiate YII="), missing},
		{"T12/empty", upgrade("/access", "Authorization:"), missing},
		{"T12/basic_for_optional", upgrade("/optional", "Authorization: Basic YWxpY2U6c2VjcmV0"), ""},
		{"T13/body", plain("GET", "/access", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(a)+7)) + "ticket=" + a, missing},
		{"T13/post_body", plain("POST", "/access", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(a)+7)) + "ticket=" + a, missing},
		{"T13/trailer", plain("GET", "/access", "Transfer-Encoding: chunked", "Trailer: X-Token") + "0\r\nX-Token: " + a + "\r\n\r\n", missing},
		{"T13/trailer_of_the_same_name", plain("GET", "/access", "Transfer-Encoding: chunked") + "0\r\nAuthorization: Bearer " + a + "\r\n\r\n", missing},
	})
}

// TestPlantedNames checks that cookies whose names a careless parser confuses
// with ours are not credentials (T8). A page of another host, or one over plain
// HTTP, can set them.
func TestPlantedNames(t *testing.T) {
	x := newTarget(t, wsauth.Config{
		Verifier:   newVerifier(t, 0),
		Extractors: []wsauth.Extractor{wsauth.Cookies{}},
		Origins:    []string{origin},
	})
	alice := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	mallory := issue(t, token.TypeAccess, "mallory", token.Options{CSRF: true})
	const ours = "__Host-access_token_cookie"
	for name, c := range map[string]struct {
		planted string
		twin    bool // some parsers trim the name to ours, so the handler must not see the cookie
	}{
		"lower_case": {"__host-access_token_cookie", false}, "upper_case": {"__HOST-access_token_cookie", false},
		"other_case": {"__Host-Access_Token_Cookie", false}, "nameless": {"=" + ours, false}, "brackets": {ours + "[]", false},
		"dots": {"__Host-access.token.cookie", false}, "no_prefix": {"access_token_cookie", true}, "secure_prefix": {"__Secure-access_token_cookie", true},
		"tab": {"\t" + ours, true}, "two_spaces": {"  " + ours, true}, "space_after": {ours + " ", true}, "nbsp": {"\u00a0" + ours, true},
		"en_space": {"\u2000" + ours, true}, "latin_nbsp": {"\xa0" + ours, true}, "latin_nel": {ours + "\x85", true}, "quoted": {`"` + ours + `"`, true},
	} {
		t.Run("T8/"+name, func(t *testing.T) {
			pair := c.planted + "=" + mallory.Raw
			x.wantRefusal(t, x.send(t, upgrade("/access", "Cookie: x=y; "+pair, csrf(mallory.Claims.CSRF), fromOurs)), wsauth.TokenMissing)
			seen := x.wantSuccess(t, x.send(t, upgrade("/access", cookie(alice.Raw)+"; "+pair, csrf(alice.Claims.CSRF), fromOurs)))
			if strings.Contains(seen, alice.Raw) || c.twin && strings.Contains(seen, mallory.Raw) {
				t.Errorf("the handler sees\n%s", seen)
			}
		})
	}
	t.Run("T8/quoted_value", func(t *testing.T) {
		x.wantRefusal(t, x.send(t, upgrade("/access", cookie(`"`+alice.Raw+`"`), csrf(alice.Claims.CSRF), fromOurs)), wsauth.TokenInvalid)
	})
}

// TestTokenInQuery checks that a token in a URL is refused unless the policy
// reads tokens there: URLs are logged in many places (T5).
func TestTokenInQuery(t *testing.T) {
	tok := access(t)
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0)})
	x.wantRefusals(t, []refusalCase{
		{"T5/access_token", upgrade("/access?access_token=" + tok), wsauth.InvalidRequest},
		{"T5/access_token_any", upgrade("/access?access_token=opaque"), wsauth.InvalidRequest},
		{"T5/token", upgrade("/access?token=" + tok), wsauth.InvalidRequest},
		{"T5/plain", plain("GET", "/access?token="+tok), wsauth.InvalidRequest},
		{"T5/query_and_header", upgrade("/access?a=b&access_token="+tok, bearer(tok)), wsauth.InvalidRequest},
		{"T5/optional", upgrade("/optional?token=" + tok), wsauth.InvalidRequest},
		{"T5/another_token", upgrade("/access?token=page-2", bearer(tok)), ""},
	})
	named := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Query{Name: "access_token"}}})
	named.wantRefusals(t, []refusalCase{{"T5/named_by_the_policy", upgrade("/access?access_token=" + tok), ""}})
}

// TestSubprotocolToken checks that a token among the subprotocols is not a
// credential if no extractor reads it there. It must never appear in the answer
// (T10).
func TestSubprotocolToken(t *testing.T) {
	tok := access(t)
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Refusal: wsauth.RefuseClose})
	x.clients.Store(1) // a client that is refused often would be delayed
	for name, c := range map[string]struct{ offer, chosen string }{
		"T10/token_last":        {"chat, " + tok, "chat"},
		"T10/token_first":       {tok + ", chat", "chat"},
		"T10/token_alone":       {tok, ""},
		"T10/short_token":       {"eyJhbGciOiJIUzI1NiJ9.e30.c2ln, chat", "chat"},
		"T10/long":              {strings.Repeat("x", 65) + ", chat", "chat"},
		"T10/encoded_token":     {"base64url.bearer.authorization.k8s.io." + b64(tok) + ", chat", "chat"},
		"T10/not_a_subprotocol": {`a b, x"y, chät, <script>, chat`, "chat"},
		"T10/empty":             {" , ,", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := x.send(t, upgrade("/access", "Sec-WebSocket-Protocol: "+c.offer))
			if code, reason := a.closeFrame(t); code != 3000 || reason != "token_missing" {
				t.Errorf("closed with %d %q", code, reason)
			}
			if got := a.Header.Get("Sec-WebSocket-Protocol"); got != c.chosen {
				t.Errorf("selected %q, want %q", got, c.chosen)
			}
			x.wantSilence(t, a, pieces(tok)...)
		})
	}
}

// TestLargeRequests checks that the guard's work is at most proportional to the
// length of the request header, which net/http limits (T11).
func TestLargeRequests(t *testing.T) {
	x := newTarget(t, wsauth.Config{
		Verifier:   newVerifier(t, 0),
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Query{Name: "ticket"}},
	})
	t.Run("T11/2MiB_of_headers", func(t *testing.T) {
		a := x.send(t, plain("GET", "/access", "X-Large: "+strings.Repeat("x", 2<<20)))
		if a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d", a.StatusCode)
		}
		x.wantSilence(t, a)
	})
	cookies, params := strings.Builder{}, strings.Builder{}
	for i := range 10_000 {
		fmt.Fprintf(&params, "&p%d=%d", i, i)
		if i < 5000 {
			fmt.Fprintf(&cookies, "c%d=%d; ", i, i)
		}
	}
	tok := access(t)
	x.wantRefusals(t, []refusalCase{
		{"T11/target_of_64KiB", plain("GET", "/access?"+strings.Repeat("x", 64<<10)), wsauth.TokenMissing},
		{"T11/5000_cookies", upgrade("/access", "Cookie: "+cookies.String()+"a=b"), wsauth.TokenMissing},
		{"T11/10000_parameters", upgrade("/access?a=b" + params.String()), wsauth.TokenMissing},
		{"T11/token_after_5000_cookies", plain("GET", "/access", "Cookie: "+cookies.String()+cookie(tok)[len("Cookie: "):]), ""},
		{"T11/two_tokens_around_5000_cookies", plain("GET", "/access", cookie(tok)+"; "+cookies.String()+cookie(tok)[len("Cookie: "):]), wsauth.InvalidRequest},
		{"T11/two_tokens_around_10000_parameters", plain("GET", "/access?ticket="+tok+params.String()+"&ticket="+tok), wsauth.InvalidRequest},
	})
}

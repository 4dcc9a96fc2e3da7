package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// A draft is a request before it is written. It is valid until a fault changes
// it.
type draft struct {
	absent       bool
	cut          bool // the token has only two segments
	header, tail string
	sign         signer
	changes      []string // to the claims
	csrf         string   // the value in the header
	noCSRF       bool
}

func (d *draft) token() string {
	if d.absent {
		return ""
	}
	tok := compact(d.header, claims(d.changes...)+d.tail, d.sign)
	if d.cut {
		tok = tok[:strings.LastIndexByte(tok, '.')]
	}
	return tok
}

// A fault makes a draft invalid. The request must be refused with the reason
// and the text.
type fault struct {
	name, text string
	reason     wsauth.Reason
	spoil      func(*draft)
}

// tokenFaults returns faults of tokens in the order in which they are checked.
func tokenFaults() []fault {
	later, past := fmt.Sprint(time.Now().Unix()+300), fmt.Sprint(time.Now().Unix()-300)
	claim := func(changes ...string) func(*draft) {
		return func(d *draft) { d.changes = append(d.changes, changes...) }
	}
	return []fault{
		{"segments", "Not enough segments", wsauth.TokenInvalid, func(d *draft) { d.cut = true }},
		{"header", "Invalid token", wsauth.TokenInvalid, func(d *draft) { d.header += "x" }},
		{"algorithm", "The specified alg value is not allowed", wsauth.TokenInvalid, func(d *draft) { d.header = strings.Replace(d.header, "HS256", "HS512", 1) }},
		{"signature", "Signature verification failed", wsauth.TokenInvalid, func(d *draft) { d.sign = macSigner([]byte("x")) }},
		{"payload", "Invalid token", wsauth.TokenInvalid, func(d *draft) { d.tail = "x" }},
		{"iat", "The token is not yet valid (iat)", wsauth.TokenInvalid, claim("iat", later)},
		{"nbf", "The token is not yet valid (nbf)", wsauth.TokenInvalid, claim("nbf", later)},
		{"exp", "Signature has expired", wsauth.TokenExpired, claim("exp", past)},
		{"iss", "Invalid issuer", wsauth.TokenInvalid, claim("iss", `"x"`)},
		{"aud", "Invalid audience", wsauth.TokenInvalid, claim("aud", `"x"`)},
		{"revoked", "Token has been revoked", wsauth.TokenRevoked, claim("jti", `"revoked"`)},
		{"type", "Only access tokens are allowed", wsauth.WrongTokenType, claim("type", `"refresh"`)},
		{"fresh", "Fresh token required", wsauth.FreshTokenRequired, claim("fresh", "false")},
	}
}

// TestOrder checks that a request with two faults is refused for the fault that
// is checked first, with its text.
func TestOrder(t *testing.T) {
	revoked := func(_ context.Context, c *token.Claims) (bool, error) { return c.ID == "revoked", nil }
	query := append([]fault{
		{"empty", "Missing access token from Query or Path", wsauth.TokenMissing, func(d *draft) { d.absent = true }},
	}, tokenFaults()...)
	inCookie := append([]fault{
		{"cookie", "Missing cookie access_token_cookie", wsauth.TokenMissing, func(d *draft) { d.absent = true }},
		{"csrf_given", "Missing CSRF Token", wsauth.CSRFMismatch, func(d *draft) { d.noCSRF = true }},
	}, append(tokenFaults(),
		fault{"csrf_claim", "Missing claim: csrf", wsauth.CSRFMismatch, func(d *draft) { d.changes = append(d.changes, "csrf", "") }},
		fault{"csrf_equal", "CSRF double submit tokens do not match", wsauth.CSRFMismatch, func(d *draft) { d.csrf = "x" }},
	)...)
	for _, source := range []struct {
		name      string
		extractor wsauth.Extractor
		faults    []fault
		raw       func(*draft) string
	}{
		{"query", wsauth.Query{Name: "token"}, query, func(d *draft) string { return upgrade("/access?token=" + d.token()) }},
		{"cookie", wsauth.Cookies{}, inCookie, func(d *draft) string {
			lines := []string{cookie(d.token())}
			if !d.noCSRF {
				lines = append(lines, csrf(d.csrf))
			}
			return upgrade("/access", lines...)
		}},
	} {
		guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{source.extractor}, Denylist: revoked})
		if err != nil {
			t.Fatal(err)
		}
		attempt := func(faults ...fault) error {
			d := &draft{header: head("HS256", "hs", ""), sign: signHS, changes: []string{"csrf", `"value"`}, csrf: "value"}
			for _, f := range faults {
				f.spoil(d)
			}
			_, err := guard.Check(request(t, source.raw(d)), wsauth.Fresh)
			return err
		}
		if err := attempt(); err != nil {
			t.Fatalf("%s: without a fault: %v", source.name, err)
		}
		for i, first := range source.faults {
			t.Run(source.name+"/"+first.name, func(t *testing.T) {
				wantError(t, attempt(first), first.reason, first.text)
			})
			for _, second := range source.faults[i+1:] {
				t.Run(source.name+"/"+first.name+"_before_"+second.name, func(t *testing.T) {
					wantError(t, attempt(first, second), first.reason, first.text)
				})
			}
		}
	}
}

func wantError(t *testing.T, err error, reason wsauth.Reason, text string) {
	t.Helper()
	e, ok := errors.AsType[*wsauth.Error](err)
	if !ok || e.Reason != reason || e.Message != text || !errors.Is(err, reason) {
		t.Errorf("refused with %v, want %s: %s", err, reason, text)
	}
}

// TestTexts checks the texts that TestOrder does not check, and the places in
// which each extractor looks.
func TestTexts(t *testing.T) {
	access, refresh := signed(claims()), signed(claims("type", `"refresh"`))
	header, query, path := wsauth.Header{}, wsauth.Query{Name: "token"}, wsauth.PathValue{Name: "token"}
	own := wsauth.Header{Name: "x-token", NoScheme: true}
	jar, renamed := wsauth.Cookies{}, wsauth.Cookies{Access: wsauth.CookieSpec{Name: "a"}, Refresh: wsauth.CookieSpec{Name: "r"}}
	const missing, malformed, wrong = wsauth.TokenMissing, wsauth.InvalidRequest, wsauth.WrongTokenType
	for name, c := range map[string]struct {
		extractor wsauth.Extractor
		q         wsauth.Requirement
		raw       string
		reason    wsauth.Reason
		text      string
	}{
		"header_missing":       {header, wsauth.Access, plain("GET", "/"), missing, "Missing Authorization Header"},
		"header_missing_fresh": {header, wsauth.Fresh, plain("GET", "/"), missing, "Missing Authorization Header"},
		"own_header_missing":   {own, wsauth.Access, plain("GET", "/"), missing, "Missing X-Token Header"},
		"own_header_bad":       {own, wsauth.Access, plain("GET", "/", "X-Token: a b"), malformed, "Bad X-Token header. Expected value '<JWT>'"},
		"own_header_twice":     {own, wsauth.Access, plain("GET", "/", "X-Token: a", "X-Token: b"), malformed, "More than one X-Token header"},
		"own_header_refresh":   {own, wsauth.Access, plain("GET", "/", "X-Token: "+refresh), wrong, "Only access tokens are allowed"},
		"header_bad":           {header, wsauth.Access, plain("GET", "/", "Authorization: Bearer"), malformed, "Bad Authorization header. Expected value 'Bearer <JWT>'"},
		"header_other_scheme":  {header, wsauth.Access, plain("GET", "/", "Authorization: Basic x"), missing, "Bad Authorization header. Expected value 'Bearer <JWT>'"},
		"header_own_scheme":    {wsauth.Header{Scheme: "JWT"}, wsauth.Access, plain("GET", "/", "Authorization: Bearer x"), missing, "Bad Authorization header. Expected value 'JWT <JWT>'"},
		"query_access":         {query, wsauth.Access, upgrade("/"), missing, "Missing access token from Query or Path"},
		"query_refresh":        {query, wsauth.Refresh, upgrade("/?token="), missing, "Missing refresh token from Query or Path"},
		"query_fresh":          {query, wsauth.Fresh, upgrade("/?token"), missing, "Missing access token from Query or Path"},
		"query_twice":          {query, wsauth.Access, upgrade("/?token=&token="), malformed, "The parameter token is not given once and plainly"},
		"path_refresh":         {path, wsauth.Refresh, upgrade("/"), missing, "Missing refresh token from Query or Path"},
		"cookie_access":        {jar, wsauth.Access, upgrade("/"), missing, "Missing cookie access_token_cookie"},
		"cookie_refresh":       {jar, wsauth.Refresh, upgrade("/"), missing, "Missing cookie refresh_token_cookie"},
		"cookie_empty":         {jar, wsauth.Access, upgrade("/", cookie("")), missing, "Missing cookie access_token_cookie"},
		"cookie_renamed":       {renamed, wsauth.Access, upgrade("/", cookie(access)), missing, "Missing cookie a"},
		"refresh_wanted":       {header, wsauth.Refresh, plain("GET", "/", bearer(access)), wrong, "Only refresh tokens are allowed"},
		"refresh_for_optional": {header, wsauth.Optional, plain("GET", "/", bearer(refresh)), wrong, "Only access tokens are allowed"},
		"refresh_for_fresh":    {header, wsauth.Fresh, plain("GET", "/", bearer(refresh)), wrong, "Only access tokens are allowed"},
		"claims":               {header, wsauth.Access, plain("GET", "/", bearer(signed(claims("sub", "")))), wsauth.TokenInvalid, "Invalid claims"},
		"optional_bad":         {query, wsauth.Optional, upgrade("/?token=x"), wsauth.TokenInvalid, "Not enough segments"},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{c.extractor}})
			if err != nil {
				t.Fatal(err)
			}
			claims, err := guard.Check(request(t, c.raw), c.q)
			wantError(t, err, c.reason, c.text)
			if claims != nil {
				t.Errorf("claims %v with an error", claims)
			}
		})
	}
	for name, raw := range map[string]string{"nothing": upgrade("/"), "empty": upgrade("/?token="), "plain": plain("POST", "/")} {
		guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{query, jar}})
		if err != nil {
			t.Fatal(err)
		}
		if claims, err := guard.Check(request(t, raw), wsauth.Optional); claims != nil || err != nil {
			t.Errorf("optional/%s: %v, %v", name, claims, err)
		}
	}
}

// TestHooks checks that Denylist is called before Authorize, and that a token
// is refused if either of them fails.
func TestHooks(t *testing.T) {
	broken := errors.New("the store's own words")
	allow := func(*http.Request, *token.Claims) error { return nil }
	deny := func(*http.Request, *token.Claims) error { return broken }
	limit := func(*http.Request, *token.Claims) error {
		return fmt.Errorf("wrapped: %w", &wsauth.Error{Reason: wsauth.StoreUnavailable, Message: "full"})
	}
	alive := func(context.Context, *token.Claims) (bool, error) { return false, nil }
	dead := func(context.Context, *token.Claims) (bool, error) { return true, nil }
	down := func(context.Context, *token.Claims) (bool, error) { return false, broken }
	downButRevoked := func(context.Context, *token.Claims) (bool, error) { return true, broken }
	type revokes = func(context.Context, *token.Claims) (bool, error)
	type authorizes = func(*http.Request, *token.Claims) error
	for name, c := range map[string]struct {
		revoked   revokes
		authorize authorizes
		reason    wsauth.Reason
		text      string
	}{
		"good":              {alive, allow, "", ""},
		"revoked":           {dead, deny, wsauth.TokenRevoked, "Token has been revoked"},
		"down":              {down, allow, wsauth.StoreUnavailable, "The service is not available"},
		"down_but_revoked":  {downButRevoked, allow, wsauth.StoreUnavailable, "The service is not available"},
		"denied":            {alive, deny, wsauth.NotAuthorized, "Not authorized"},
		"denied_by_reasons": {alive, limit, wsauth.StoreUnavailable, "full"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Denylist: c.revoked, Authorize: c.authorize})
			_, err := x.guard.Check(request(t, upgrade("/access", bearer(access(t)))), wsauth.Access)
			a := x.send(t, upgrade("/access", bearer(access(t))))
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				x.wantSuccess(t, a)
				return
			}
			wantError(t, err, c.reason, c.text)
			if strings.Contains(a.body, broken.Error()) {
				t.Errorf("the answer reveals the error of the store: %q", a.body)
			}
			x.wantRefusal(t, a, c.reason)
		})
	}
}

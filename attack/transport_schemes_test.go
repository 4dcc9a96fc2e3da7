package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth"
	"wsauth/token"
)

// foreignFields contains values of Authorization fields with other schemes.
var foreignFields = []string{
	"Basic YWxpY2U6c2VjcmV0",
	"basic YWxpY2U6c2VjcmV0",
	"Basic", // without credentials
	"Negotiate YII=",
	"NTLM TlRMTVNTUAABAAAA",
	`Digest username="Mufasa", realm="a, b", uri="/x?a=b", response="6629"`,
	"AWS4-HMAC-SHA256 Credential=AKIA/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=fe5f",
	"Token 0123456789",
	"DPoP eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
	"",
}

// TestForeignSchemes checks that an Authorization field of another scheme is
// not a credential and stays in the request.
func TestForeignSchemes(t *testing.T) {
	x := newTarget(t, wsauth.Config{
		Verifier:   newVerifier(t, 0),
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Query{Name: "token"}, wsauth.Subprotocol{}},
		Origins:    []string{origin},
	})
	for _, q := range requirements {
		made := issue(t, q.Type(), "alice", token.Options{CSRF: true, Fresh: q == wsauth.Fresh})
		name := "Cookie: __Host-" + string(q.Type()) + "_token_cookie=" + made.Raw
		path := "/" + q.String()
		for _, field := range foreignFields {
			line := "Authorization: " + field
			t.Run(q.String()+"/"+field, func(t *testing.T) {
				for _, raw := range []string{
					upgrade(path, line, name, csrf(made.Claims.CSRF), fromOurs),
					plain("GET", path, line, name),
					plain("POST", path, line, name, csrf(made.Claims.CSRF), "Content-Length: 0"),
					upgrade(path+"?token="+made.Raw, line),
					plain("GET", path+"?token="+made.Raw, line),
					upgrade(path, line, "Sec-WebSocket-Protocol: chat, bearer, "+made.Raw),
				} {
					seen := x.wantSuccess(t, x.send(t, raw))
					if !strings.Contains(seen, "Authorization: "+field+"\r\n") {
						t.Errorf("the handler does not see the field:\n%s", seen)
					}
					if strings.Contains(seen, made.Raw) {
						t.Errorf("R12: the handler sees the token:\n%s", seen)
					}
				}
				if q == wsauth.Optional {
					x.wantSuccess(t, x.send(t, upgrade(path, line)))
					x.wantSuccess(t, x.send(t, plain("GET", path, line)))
				} else {
					x.wantRefusal(t, x.send(t, upgrade(path, line)), wsauth.TokenMissing)
					x.wantRefusal(t, x.send(t, plain("GET", path, line)), wsauth.TokenMissing)
				}
				// Two fields are refused in either order, whatever they
				// contain.
				for _, second := range []string{line, bearer(made.Raw), "Authorization: Negotiate YII="} {
					x.wantRefusal(t, x.send(t, plain("GET", path, line, second)), wsauth.InvalidRequest)
					x.wantRefusal(t, x.send(t, plain("GET", path, second, line)), wsauth.InvalidRequest)
				}
			})
		}
	}
}

// TestAlmostForeignSchemes checks that a field is refused if a lenient server
// could read our token from it, even on a route that requires no token.
func TestAlmostForeignSchemes(t *testing.T) {
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}}})
	a := access(t)
	const missing, malformed = wsauth.TokenMissing, wsauth.InvalidRequest
	for _, path := range []string{"/optional", "/access"} {
		x.wantRefusals(t, []refusalCase{
			{path + "/list", plain("GET", path, "Authorization: Basic YTpi, Bearer "+a), malformed},
			{path + "/list_without_space", plain("GET", path, "Authorization: Basic YTpi,bearer "+a), malformed},
			{path + "/list_with_tab", plain("GET", path, "Authorization: Basic YTpi,\tBEARER\t"+a), malformed},
			{path + "/after_it", plain("GET", path, "Authorization: Basic Bearer "+a), malformed},
			{path + "/prefix", plain("GET", path, "Authorization: Bearers "+a), malformed},
			{path + "/colon", plain("GET", path, "Authorization: Bearer: "+a), malformed},
			{path + "/bare_token", plain("GET", path, "Authorization: "+a), missing},
			{path + "/bare_token_and_more", plain("GET", path, "Authorization: "+a+" x"), missing},
			{path + "/quoted", plain("GET", path, `Authorization: "Bearer `+a+`"`), missing},
			{path + "/nbsp", plain("GET", path, "Authorization: \u00a0Bearer "+a), missing},
			{path + "/tab_after_another_scheme", plain("GET", path, "Authorization: Basic\tYTpi"), missing},
		})
	}
}

// TestForeignSchemesKeepTheText checks that the text of a refusal names the
// expected scheme, wherever the Header extractor is in the list.
func TestForeignSchemesKeepTheText(t *testing.T) {
	header, own := wsauth.Header{}, wsauth.Header{Name: "X-Auth", Scheme: "Token"}
	for name, c := range map[string]struct {
		extractors []wsauth.Extractor
		line       string
		text       string
	}{
		"first":           {[]wsauth.Extractor{header, wsauth.Cookies{}}, "Authorization: Basic x", "Bad Authorization header. Expected value 'Bearer <JWT>'"},
		"last":            {[]wsauth.Extractor{wsauth.Cookies{}, header}, "Authorization: Basic x", "Bad Authorization header. Expected value 'Bearer <JWT>'"},
		"none":            {[]wsauth.Extractor{wsauth.Cookies{}, header}, "Accept: x", "Missing cookie access_token_cookie"},
		"of another name": {[]wsauth.Extractor{wsauth.Cookies{}, own}, "X-Auth: Bearer x", "Bad X-Auth header. Expected value 'Token <JWT>'"},
		"not ours":        {[]wsauth.Extractor{wsauth.Cookies{}, own}, "Authorization: Basic x", "Missing cookie access_token_cookie"},
		"empty":           {[]wsauth.Extractor{header}, "Authorization: ", "Bad Authorization header. Expected value 'Bearer <JWT>'"},
		"empty token":     {[]wsauth.Extractor{wsauth.Header{Name: "X-Token", NoScheme: true}}, "X-Token: ", "Bad X-Token header. Expected value '<JWT>'"},
		"without scheme":  {[]wsauth.Extractor{wsauth.Header{NoScheme: true}}, "Authorization: Basic x", "Bad Authorization header. Expected value '<JWT>'"},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: c.extractors})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range requirements {
				r := request(t, plain("GET", "/", c.line))
				claims, err := guard.Check(r, q)
				if q == wsauth.Optional {
					if claims != nil || err != nil {
						t.Errorf("optional: %v, %v", claims, err)
					}
					continue
				}
				if e, ok := err.(*wsauth.Error); !ok || e.Reason != wsauth.TokenMissing || name != "none" && name != "not ours" && e.Message != c.text { //nolint:errorlint // Check returns it bare.
					t.Errorf("%v: %v, want %q", q, err, c.text)
				}
			}
		})
	}
}

// TestTwoSchemesOfOneHeader checks that two extractors can read the same header
// with different schemes.
func TestTwoSchemesOfOneHeader(t *testing.T) {
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Header{Scheme: "JWT"}}})
	a := access(t)
	for _, scheme := range []string{"Bearer ", "JWT "} {
		if seen := x.wantSuccess(t, x.send(t, plain("GET", "/access", "Authorization: "+scheme+a))); strings.Contains(seen, a) {
			t.Errorf("R12: %s is left:\n%s", scheme, seen)
		}
	}
	x.wantRefusals(t, []refusalCase{
		{"both", plain("GET", "/access", "Authorization: JWT "+a+", Bearer "+a), wsauth.InvalidRequest},
		{"neither", plain("GET", "/access", "Authorization: Basic x"), wsauth.TokenMissing},
	})
}

// TestFirstMessageWithForeignSchemes checks that after a handshake with
// another scheme, a client may authenticate with its first message. The message
// may itself contain another scheme next to its token.
func TestFirstMessageWithForeignSchemes(t *testing.T) {
	config := func() wsauth.Config {
		c := firstMessageConfig()
		c.Extractors = append(c.Extractors, wsauth.Header{})
		return c
	}
	inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
		const basic = "Authorization: Basic YTpi"
		for _, message := range []string{
			auth(access(t)),
			`{"type":"connection_init","payload":{"token":"` + access(t) + `","Authorization":"Basic YTpi"}}`,
			`{"type":"connection_init","payload":{"token":"` + access(t) + `","Authorization":""}}`,
		} {
			c := socketOf(t, x.ask(t, "", upgrade("/access", fromOurs, basic)))
			c.say(message)
			if reply := c.nextMessage(t); !strings.Contains(reply, `"auth_ok"`) && !strings.Contains(reply, `"connection_ack"`) {
				t.Errorf("%.60s: got %s", message, reply)
			}
			c.hangUp()
		}
	})
}

// TestForeignSchemesOverHTTP2 checks that a field of another scheme reaches the
// handler over HTTP/2, and that two fields are refused.
func TestForeignSchemesOverHTTP2(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}}})
	if err != nil {
		t.Fatal(err)
	}
	var seen string
	server := httptest.NewUnstartedServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
	})))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	server.Client().Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS12
	ask := func(fields ...string) *http.Response {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = fields
		r.Header.Set("Cookie", "__Host-access_token_cookie="+access(t))
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Fatalf("got %s, want HTTP/2", resp.Proto)
		}
		return resp
	}
	if resp := ask("Basic YTpi"); resp.StatusCode != http.StatusOK || seen != "Basic YTpi" {
		t.Errorf("%d, the handler sees %q", resp.StatusCode, seen)
	}
	if resp := ask("Basic YTpi", "Basic YTpi"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two lines: %d", resp.StatusCode)
	}
}

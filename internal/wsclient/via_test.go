package wsclient

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"wsauth"
)

const testToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"

// TestViaIsReadByTheLibrary checks that the matching extractor of the library
// reads what this client sends, and that no other extractor does.
func TestViaIsReadByTheLibrary(t *testing.T) {
	for via, extractor := range map[string]wsauth.Extractor{
		"header":               wsauth.Header{},
		"header:authorization": wsauth.Header{},
		"header:X-Token":       wsauth.Header{Name: "X-Token", NoScheme: true},
		"query":                wsauth.Query{Name: "token"},
		"query:access_token":   wsauth.Query{Name: "access_token"},
		"ticket":               wsauth.Ticket{},
		"ticket:t":             wsauth.Ticket{Name: "t"},
		"subprotocol":          wsauth.Subprotocol{},
		"subprotocol:jwt":      wsauth.Subprotocol{Name: "jwt"},
		"subprotocol:jwt.":     wsauth.Subprotocol{Prefix: "jwt."},
		"subprotocol:base64url.bearer.authorization.k8s.io.": wsauth.Subprotocol{Prefix: "base64url.bearer.authorization.k8s.io."},
	} {
		v, err := ParseVia(via)
		if err != nil {
			t.Errorf("%s: %v", via, err)
			continue
		}
		h := &handshake{url: &url.URL{Scheme: "http", Host: "h", Path: "/ws", RawQuery: "room=1"}, header: http.Header{}, protocols: []string{"chat"}}
		if err := v.put(h, testToken); err != nil {
			t.Errorf("%s: %v", via, err)
			continue
		}
		r := httptest.NewRequest(http.MethodGet, h.url.RequestURI(), nil)
		r.Header = h.header
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Protocol", strings.Join(h.protocols, ","))
		c, err := extractor.Extract(r, wsauth.Access)
		if err != nil || c.Token != testToken {
			t.Errorf("%s: got %q, %v, want %q", via, c.Token, err, testToken)
		}
		extractor.Strip(r)
		if left := r.URL.String() + strings.Join(r.Header["Authorization"], "") + r.Header.Get("Sec-WebSocket-Protocol"); left != "/ws?room=1chat" && left != "/ws?room=1bearer, chat" && left != "/ws?room=1jwt, chat" {
			t.Errorf("%s: %q is left", via, left)
		}
	}
}

func TestViaIntroduces(t *testing.T) {
	for via, want := range map[string]string{
		"first-message":                 `{"type":"auth","token":"` + testToken + `"}`,
		"first-message:connection_init": `{"type":"connection_init","payload":{"token":"` + testToken + `"}}`,
	} {
		v, err := ParseVia(via)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.introduction(testToken); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %q", via, got, err, want)
		}
	}
}

func TestViaRefuses(t *testing.T) {
	for via, want := range map[string]string{
		"": "must be ticket, header", "cookie": "must be ticket, header", "none:x": "none has no name",
		"query:": "that a URL escapes", "query:a b": "that a URL escapes", "ticket:a&b": "that a URL escapes",
		"header:": "is one word", "header:a b": "is one word", "subprotocol:a,b": "is one word", "first-message:hello": "of the type auth or connection_init",
	} {
		if v, err := ParseVia(via); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want an error with %q", via, v, err, want)
		}
	}
	full := func() *handshake {
		return &handshake{url: &url.URL{RawQuery: "token=a&ticket=b"}, header: http.Header{"Authorization": {"Basic x"}}}
	}
	for via, want := range map[string]string{
		"header": "two values for the header field Authorization", "query": `a parameter "token" already`, "ticket": `a parameter "ticket" already`,
	} {
		v, err := ParseVia(via)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.put(full(), testToken); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), testToken) {
			t.Errorf("%s: two credentials: %v", via, err)
		}
	}
	v := Via{InSubprotocol, "bearer"}
	if err := v.put(full(), "not/a/word"); err == nil || !strings.Contains(err.Error(), "cannot carry this token as it is") || strings.Contains(err.Error(), "not/a/word") {
		t.Error(err)
	}
}

func TestCheckToken(t *testing.T) {
	for text, want := range map[string]string{"abc\n": "abc", " Bearer abc": "abc", "bearer  abc": "abc", "a/b+c==": "a/b+c=="} {
		if got, err := CheckToken(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "is empty", " \n": "is empty", "abc def": "not one word", "a,b": "not one word", "ä": "not one word", "a\x00b": "not one word", "a\r\nX: y": "not one word",
		strings.Repeat("a", maxToken+1): "is longer than",
	} {
		if got, err := CheckToken(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %q %v, want an error with %q", text, got, err, want)
		}
	}
}

package wsauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

// FuzzAuthMessage checks that the standard library finds the same token in an
// accepted message under the same names, and that the reply is JSON.
func FuzzAuthMessage(f *testing.F) {
	seed(f, []string{
		"", "{}", "null", "[]", `"auth"`, `{"type":"auth"}`, `{"type":"auth","token":"a.b.c"}`, `{"token":"a","type":"auth","x":{"type":1}}`,
		`{"type":"auth","token":""}`, `{"type":"auth","token":null}`, `{"type":"auth","token":1}`, `{"type":"auth","Token":"a"}`, `{"type":"AUTH","token":"a"}`,
		`{"type":"auth","token":"a","token":"b"}`, `{"type":"auth","to\u006ben":"a"}`, `{"type":"\u0061uth","token":"\u0061"}`, `{"type":"auth","token":"\ud800"}`,
		"{\"type\":\"auth\",\"token\":\"\xff\"}", "\ufeff" + `{"type":"auth","token":"a"}`, ` {"type":"auth","token":"a"} `, `{"type":"auth","token":"a"}x`,
		`{"type":"auth","token":"a","payload":{"token":"b"}}`, `{"type":"auth","payload":{"token":"b"}}`, `{"type":"connection_init"}`, `{"type":"connection_init","payload":null}`,
		`{"type":"connection_init","token":"a"}`, `{"type":"connection_init","token":"a","payload":{"token":"b"}}`, `{"type":"connection_init","payload":{"token":"a","x":1}}`,
		`{"type":"connection_init","payload":{"Authorization":"Bearer a"}}`, `{"type":"connection_init","payload":{"Authorization":"bearer  a"}}`,
		`{"type":"connection_init","payload":{"Authorization":"Bearer"}}`, `{"type":"connection_init","payload":{"Authorization":"Basic a"}}`,
		`{"type":"connection_init","payload":{"authorization":"Bearer a"}}`, `{"type":"connection_init","payload":{"token":"a","Authorization":"Bearer a"}}`,
		`{"type":"connection_init","payload":{"token":"a","Authorization":"Basic a"}}`, `{"type":"connection_init","payload":{"token":"a","Authorization":"Basic a, Bearer b"}}`,
	})
	claims := &token.Claims{ExpiresAt: time.Unix(2_000_000_000, 0)}
	f.Fuzz(func(t *testing.T, message string) {
		m, err := readAuthMessage([]byte(message))
		if err != nil {
			if m != (authMessage{}) {
				t.Errorf("%q: %v beside an error", message, m)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal([]byte(message), &plain); err != nil {
			t.Fatalf("%q is accepted, but encoding/json returns %v", message, err)
		}
		want := plain["token"]
		if m.kind == "connection_init" {
			if want != nil {
				t.Errorf("%q: a token outside the payload", message)
			}
			payload, _ := plain["payload"].(map[string]any)
			want = payload["token"]
			if header, ok := payload["Authorization"].(string); ok && !(Header{}).isForeign(header) { // see FuzzHeader
				scheme, rest, _ := strings.Cut(header, " ")
				if want != nil || !strings.EqualFold(scheme, "bearer") {
					t.Errorf("%q: the scheme is %q, the token beside it %v", message, scheme, want)
				}
				want = rest
			}
		}
		if m.kind != "auth" && m.kind != "connection_init" || m.kind != plain["type"] || m.token != want || m.token == "" {
			t.Errorf("%q: read %q %q, want %q %q", message, m.kind, m.token, plain["type"], want)
		}
		var reply struct {
			Type    string `json:"type"`
			Expires int64  `json:"expires_at"`
		}
		if err := json.Unmarshal(m.reply(claims), &reply); err != nil || (reply.Type == "auth_ok") != (reply.Expires == 2_000_000_000) {
			t.Errorf("%q: the answer is %s", message, m.reply(claims))
		}
	})
}

// FuzzSubprotocol checks that a token that is found is exactly one item of the
// offer. After Strip, every item that may be a token is gone, and the others
// are in their order.
func FuzzSubprotocol(f *testing.F) {
	seed(f, []string{
		"", ",", " , ,", "bearer", "bearer,", "bearer, a.b.c", "bearer,a.b.c,chat", "chat, bearer, a.b.c", "bearer\na.b.c", "bearer, a\nb", "a, bearer", "Bearer, a",
		"bearer, a, bearer, b", "bearer, bearer, a", "bearer, a, a", "a, bearer, a", "bearer, \u00a0a", "\u00a0bearer, a", "bearer\u0085, a", "bearer,\ta\t,b", "bearer a", "bearer;a", "bearer, \"a\"",
		"tok.a", "tok.", "tok.a, tok.b", "tok.a,tok.a", "chat, tok.a", "xtok.a", "tok.a\u00a0", "TOK.a", "tok.a b", "tok.bearer, bearer",
		"base64url.bearer.phx.YS5iLmM", "base64url.bearer.phx.YS5iLmM=", "base64url.bearer.phx.YS5iLmN", "base64url.bearer.phx.", "base64url.bearer.phx.YQ", "base64url.bearer.phx.YR",
		"base64url.bearer.phx.++//", "base64url.bearer.phx.000\r", "base64url.bearer.phx.YS5i LmM", "base64url.bearer.phx.YQ, base64url.bearer.phx.Yg, chat",
	})
	f.Fuzz(func(t *testing.T, lines string) {
		before := listItems(strings.Split(lines, "\n"))
		for _, p := range []Subprotocol{{}, {Prefix: "tok."}, {Prefix: "base64url.bearer.phx."}} {
			r := &http.Request{Method: http.MethodGet, Header: http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": strings.Split(lines, "\n")}}
			c, err := p.Extract(r, Access)
			item := p.Prefix + c.Token
			if strings.HasPrefix(p.Prefix, "base64url.") {
				item = p.Prefix + base64.RawURLEncoding.EncodeToString([]byte(c.Token))
			}
			if err != nil && c != (Credential{}) || c.Token != "" && count(before, item) != 1 {
				t.Errorf("%q, %+v: found %q, %v", lines, p, c.Token, err)
			}

			p.Strip(r)
			after := listItems(r.Header["Sec-Websocket-Protocol"])
			suspects := map[string]bool{}
			for i, it := range before {
				if p.Prefix != "" && strings.HasPrefix(it, p.Prefix) || p.Prefix == "" && i > 0 && before[i-1] == "bearer" {
					suspects[it] = true
				}
			}
			if c.Token != "" && (len(suspects) != 1 || !suspects[item]) {
				t.Errorf("%q, %+v: found %q among %v", lines, p, item, suspects)
			}
			want := slices.DeleteFunc(slices.Clone(before), func(it string) bool { return suspects[it] })
			if !slices.Equal(after, want) {
				t.Errorf("%q, %+v: %q are left, want %q", lines, p, after, want)
			}
			if again, err := p.Extract(r, Access); p.Prefix != "" && (again.Token != "" || err != nil) {
				t.Errorf("%q, %+v: after Strip it finds %q, %v", lines, p, again.Token, err)
			}
		}
	})
}

// listItems returns the items of a list field that are not empty.
func listItems(lines []string) []string {
	var items []string
	for _, line := range lines {
		for _, item := range strings.Split(line, ",") {
			for item != "" && (item[0] == ' ' || item[0] == '\t') {
				item = item[1:]
			}
			for item != "" && (item[len(item)-1] == ' ' || item[len(item)-1] == '\t') {
				item = item[:len(item)-1]
			}
			if item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

func count(items []string, want string) int {
	n := 0
	for _, item := range items {
		if item == want {
			n++
		}
	}
	return n
}

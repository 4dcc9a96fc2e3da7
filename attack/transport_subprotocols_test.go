package attack

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

const (
	k8sPrefix     = "base64url.bearer.authorization.k8s.io."
	phoenixPrefix = "base64url.bearer.phx."
)

// A tokenForm is a way to put a token among the subprotocols.
type tokenForm struct {
	name      string
	extractor wsauth.Subprotocol
	item      func(tok string) string // returns one or more items
	rest      string                  // the part of the items that the handler sees
}

func withPrefix(prefix string) func(string) string {
	return func(tok string) string {
		if strings.HasPrefix(prefix, "base64url.") {
			tok = b64(tok)
		}
		return prefix + tok
	}
}

var forms = []tokenForm{
	{"pair", wsauth.Subprotocol{}, func(tok string) string { return "bearer, " + tok }, "bearer"},
	{"named", wsauth.Subprotocol{Name: "access_token"}, func(tok string) string { return "access_token," + tok }, "access_token"},
	{"k8s", wsauth.Subprotocol{Prefix: k8sPrefix}, withPrefix(k8sPrefix), ""},
	{"phoenix", wsauth.Subprotocol{Prefix: phoenixPrefix}, withPrefix(phoenixPrefix), ""},
	{"prefix", wsauth.Subprotocol{Prefix: "tok."}, withPrefix("tok."), ""},
}

// status returns the expected status for a hostile token; see carrier.
func (f tokenForm) status(tok string) int {
	switch encoded := strings.HasPrefix(f.extractor.Prefix, "base64url."); {
	case encoded && len(b64(tok)) > 1<<20:
		return 431
	case encoded:
		return 401
	case strings.Trim(tok, " \t\r\n") != tok:
		return 0 // white space around an item does not belong to it
	case strings.ContainsAny(tok, controls):
		return 400
	}
	return 401
}

func offerOf(offer ...string) string {
	lines := []string{fromOurs}
	for _, o := range offer {
		lines = append(lines, "Sec-WebSocket-Protocol: "+o)
	}
	return upgrade("/access", lines...)
}

// list joins items, without the empty ones.
func list(items ...string) string {
	return strings.Join(strings.FieldsFunc(strings.Join(items, ","), func(r rune) bool { return r == ',' || r == ' ' }), ", ")
}

func (f tokenForm) config(t *testing.T, refusal wsauth.Refusal) wsauth.Config {
	t.Helper()
	return wsauth.Config{
		Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, f.extractor}, Origins: []string{origin}, Refusal: refusal,
	}
}

// upgraders holds a function for each library. The function opens a socket and
// selects the first supported subprotocol that the client offers.
var upgraders = map[string]func(w http.ResponseWriter, r *http.Request, known ...string) error{
	"coder": func(w http.ResponseWriter, r *http.Request, known ...string) error {
		_, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: known, InsecureSkipVerify: true})
		return err
	},
	"gorilla": func(w http.ResponseWriter, r *http.Request, known ...string) error {
		upgrader := gorilla.Upgrader{Subprotocols: known, CheckOrigin: func(*http.Request) bool { return true }}
		_, err := upgrader.Upgrade(w, r, nil)
		return err
	},
	"gws": func(w http.ResponseWriter, r *http.Request, known ...string) error {
		_, err := gws.NewUpgrader(&gws.BuiltinEventHandler{}, &gws.ServerOption{SubProtocols: known}).Upgrade(w, r)
		return err
	},
}

// TestSubprotocol checks, with each library, that the selected subprotocol is
// one of the application's. Neither the answer nor the handler's request may
// contain the token (T10).
func TestSubprotocol(t *testing.T) {
	tok := access(t)
	for _, f := range forms {
		for library, accept := range upgraders {
			log := new(wstest.Log)
			guard, err := wsauth.New(wsauth.Config{
				Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{f.extractor}, Origins: []string{origin}, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := make(chan string, 1)
			server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				dump := must(httputil.DumpRequest(r, false))
				seen <- string(dump) + fmt.Sprint(r.URL, r.RequestURI, r.Form)
				if err := accept(w, r, "chat", "bearer", "access_token"); err != nil {
					t.Errorf("%s: %v", library, err)
				}
			})))
			x := &target{addr: server.Listener.Addr().String(), log: log}
			for name, c := range map[string]struct {
				offer []string
				left  string // what the handler sees
			}{
				"first":     {[]string{f.item(tok) + ", chat"}, list(f.rest, "chat")},
				"last":      {[]string{"chat, " + f.item(tok)}, list("chat", f.rest)},
				"between":   {[]string{"v2.chat,\t" + f.item(tok) + " ,chat"}, list("v2.chat", f.rest, "chat")},
				"two_lines": {[]string{"chat", f.item(tok)}, list("chat", f.rest)},
				"split":     {strings.Split("chat,"+f.item(tok), ","), list("chat", f.rest)},
				"empties":   {[]string{",chat, ,", "," + strings.Replace(f.item(tok), ",", ",, ,", 1) + ","}, list("chat", f.rest)},
			} {
				t.Run("T10/"+f.name+"/"+library+"/"+name, func(t *testing.T) {
					a := x.send(t, offerOf(c.offer...))
					if a.StatusCode != http.StatusSwitchingProtocols {
						t.Fatalf("status %d: %s", a.StatusCode, a.body)
					}
					chosen := a.Header["Sec-Websocket-Protocol"]
					if len(chosen) != 1 || !strings.Contains(", "+c.left+",", ", "+chosen[0]+",") {
						t.Errorf("selected %q", chosen)
					}
					dump := <-seen
					if !strings.Contains(dump, "Sec-Websocket-Protocol: "+c.left+"\r\n") {
						t.Errorf("the handler sees, instead of %q,\n%s", c.left, dump)
					}
					for _, secret := range append(pieces(tok), pieces(b64(tok))...) {
						if strings.Contains(dump+a.head, secret) {
							t.Errorf("R6: %q is in\n%s\n%s", secret, dump, a.head)
						}
					}
				})
			}
			if err := guard.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			server.Close()
			if logged := log.Take(); strings.Contains(logged, tok) || strings.Contains(logged, b64(tok)) {
				t.Errorf("R6: the log has the token:\n%s", logged)
			}
		}
	}
}

// TestSubprotocolAlone checks that the guard selects the name before a token if
// an offer contains nothing else. If the token follows a prefix instead, the
// guard selects nothing. In plain requests, the token is not read.
func TestSubprotocolAlone(t *testing.T) {
	tok := access(t)
	for _, f := range forms {
		t.Run("T10/"+f.name, func(t *testing.T) {
			x := newTarget(t, f.config(t, wsauth.RefuseHTTP))
			a := x.send(t, offerOf(f.item(tok)))
			if got := a.Header["Sec-Websocket-Protocol"]; strings.Join(got, ",") != f.rest || (got == nil) != (f.rest == "") {
				t.Errorf("selected %q", got)
			}
			if seen := x.wantSuccess(t, a); strings.Contains(seen, "Sec-Websocket-Protocol") != (f.rest != "") || strings.Contains(seen, tok) {
				t.Errorf("the handler sees\n%s", seen)
			}
			x.wantRefusal(t, x.send(t, plain("GET", "/access", "Sec-WebSocket-Protocol: "+f.item(tok))), wsauth.TokenMissing, tok)
			x.wantRefusal(t, x.send(t, strings.Replace(offerOf(f.item(tok)), origin, "https://evil.example", 1)), wsauth.OriginNotAllowed, tok)
		})
	}
}

// TestSubprotocolOffers checks that an offer with several tokens or an
// ambiguous one is refused.
func TestSubprotocolOffers(t *testing.T) {
	tok, bob := access(t), issue(t, token.TypeAccess, "bob", token.Options{}).Raw
	refresh := issue(t, token.TypeRefresh, "alice", token.Options{}).Raw
	const (
		malformed = wsauth.InvalidRequest
		invalid   = wsauth.TokenInvalid
		missing   = wsauth.TokenMissing
	)
	for _, f := range forms {
		x := newTarget(t, f.config(t, wsauth.RefuseHTTP))
		item := f.item
		refusals := []refusalCase{
			{"twice", offerOf(item(tok) + ", " + item(bob)), malformed},
			{"twice_equal", offerOf(item(tok), item(tok)), malformed},
			{"header_too", upgrade("/access", bearer(tok), "Sec-WebSocket-Protocol: "+item(tok)), malformed},
			{"bad_header_too", upgrade("/access", bearer("x"), "Sec-WebSocket-Protocol: "+item(tok)), malformed},
			{"cut_by_a_line", offerOf(item(tok[:60]), tok[60:]), invalid},
			{"refresh_token", offerOf(item(refresh)), wsauth.WrongTokenType},
			{"upper_case", offerOf(strings.ToUpper(item("")) + tok), missing},
			{"nbsp_before", offerOf("\u00a0" + item(tok)), missing},
			{"nel_before", offerOf("\u0085" + item(tok)), missing},
			{"latin_nbsp_before", offerOf("\xa0" + item(tok)), missing},
			{"token_alone", offerOf(tok), missing},
			{"none", offerOf("chat"), missing},
		}
		if f.extractor.Prefix == "" {
			name := f.rest
			refusals = append(refusals,
				refusalCase{"name_alone", offerOf(name), malformed},
				refusalCase{"name_last", offerOf("chat, " + tok + ", " + name), malformed},
				refusalCase{"nothing_follows", offerOf(name + ", ,,"), malformed},
				refusalCase{"name_twice", offerOf(name + ", " + name + ", " + tok), malformed},
				refusalCase{"token_again", offerOf(name + ", " + tok + ", " + tok), malformed},
				refusalCase{"token_before", offerOf(tok + ", " + name + ", " + tok), malformed},
				refusalCase{"no_comma", offerOf(name + " " + tok), missing},
				refusalCase{"semicolon", offerOf(name + ";" + tok), missing},
				refusalCase{"quoted", offerOf(name + `, "` + tok + `"`), invalid},
				refusalCase{"nbsp_after", offerOf(name + ", " + tok + "\u00a0"), invalid},
				refusalCase{"other_first", offerOf(name + ", chat, " + tok), invalid})
		} else {
			refusals = append(refusals,
				refusalCase{"empty", offerOf(f.extractor.Prefix), malformed},
				refusalCase{"one_empty", offerOf(f.extractor.Prefix + ", " + item(tok)), malformed},
				refusalCase{"not_at_the_beginning", offerOf("x" + item(tok)), missing})
		}
		if encoded := item(tok); strings.HasPrefix(encoded, "base64url.") {
			short := f.extractor.Prefix + b64("xx") // two unused bits
			refusals = append(refusals,
				refusalCase{"padding", offerOf(short + "="), malformed},
				refusalCase{"not_canonical", offerOf(short[:len(short)-1] + string(nextChar(short[len(short)-1]))), malformed},
				refusalCase{"standard_alphabet", offerOf(f.extractor.Prefix + "++//"), malformed},
				refusalCase{"white_space", offerOf(encoded[:60] + " " + encoded[60:]), malformed},
				refusalCase{"not_encoded", offerOf(f.extractor.Prefix + tok), malformed},
				refusalCase{"encoded_twice", offerOf(f.extractor.Prefix + b64(b64(tok))), invalid},
				refusalCase{"newline_inside", offerOf(item(tok + "\n")), invalid},
				refusalCase{"nbsp_inside", offerOf(item(tok + "\u00a0")), invalid})
		}
		t.Run("T10/"+f.name, func(t *testing.T) { x.wantRefusals(t, refusals) })
	}
	both := newTarget(t, wsauth.Config{
		Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{forms[0].extractor, forms[2].extractor}, Origins: []string{origin},
	})
	both.wantRefusals(t, []refusalCase{
		{"T10/two_extractors", offerOf(forms[0].item(tok) + ", " + forms[2].item(tok)), malformed},
		{"T10/one_of_two_extractors", offerOf(forms[2].item(tok)), ""},
	})
}

// TestSubprotocolByClose checks that a refusal by a close frame repeats nothing
// that may be a token, even if the application's tokens are short or the offer
// is malformed.
func TestSubprotocolByClose(t *testing.T) {
	const secret = "s3cret-opaque"
	for _, f := range forms {
		x := newTarget(t, f.config(t, wsauth.RefuseClose))
		x.clients.Store(1) // a client that is refused often would be delayed
		item, second := f.item(secret), f.item(secret+"-2")
		for name, c := range map[string]struct {
			offer, chosen string
			code          int
		}{
			"alone":           {item, f.rest, 3000},
			"first":           {item + ", chat", list(f.rest + ",chat"), 3000},
			"last":            {"chat, " + item, "chat", 3000},
			"twice":           {item + ", " + second, f.rest, 3003},
			"twice_and_other": {item + ", " + second + ", chat", list(f.rest + ",chat"), 3003},
			"twice_equal":     {item + "," + item, f.rest, 3003},
			"token_twice":     {item + "," + strings.TrimPrefix(item, "bearer, "), f.rest, 3003},
		} {
			if f.name == "named" && name == "token_twice" {
				continue // the same as twice_equal
			}
			t.Run("T10/"+f.name+"/"+name, func(t *testing.T) {
				chosen, _, _ := strings.Cut(c.chosen, ",")
				a := x.send(t, offerOf(c.offer))
				want := map[int]wsauth.Reason{3000: wsauth.TokenInvalid, 3003: wsauth.InvalidRequest}[c.code]
				if code, reason := a.closeFrame(t); code != c.code || reason != string(want) {
					t.Errorf("closed with %d %q", code, reason)
				}
				if got := a.Header.Get("Sec-WebSocket-Protocol"); got != chosen {
					t.Errorf("selected %q, want %q", got, chosen)
				}
				x.wantSilence(t, a, secret, b64(secret))
			})
		}
	}
}

// TestTokenVectorsInSubprotocols checks the answer to every token vector among
// the subprotocols.
func TestTokenVectorsInSubprotocols(t *testing.T) {
	for _, f := range forms {
		for _, v := range slices.Concat(wstest.Vectors(t, "testdata/tokens"), large()) {
			status := f.status(v.Text)
			if status == 0 {
				continue
			}
			t.Run(f.name+"/"+v.String(), func(t *testing.T) {
				inBubble(t, func() wsauth.Config { return f.config(t, wsauth.RefuseHTTP) }, func(t *testing.T, x *bubble) {
					a := x.ask(t, "", offerOf(f.item(v.Text)+", chat"))
					switch {
					case status != 401:
						if a.StatusCode != status {
							t.Errorf("status %d, want %d: %s", a.StatusCode, status, a.body)
						}
						x.wantSilence(t, a, pieces(v.Text)...)
					case v.Expect == "":
						wantNoneOf(t, x.wantSuccess(t, a), pieces(v.Text)...)
					default:
						x.wantRefusal(t, a, wsauth.Reason(v.Expect), append(pieces(v.Text), pieces(b64(v.Text))...)...)
					}
				})
			})
		}
	}
}

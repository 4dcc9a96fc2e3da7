package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// post sends JSON and returns the JSON response.
func post(t *testing.T, url string, body, answer any) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	response, err := client.Post(url, "application/json", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", url, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

var testUser = map[string]string{"username": "test", "password": "test"}

// listedMessages is an expression for the messages that the pages of the
// examples show.
const listedMessages = `[...document.querySelectorAll("#messages li")].map((li) => li.textContent)`

// wantLogin fails the test unless the socket sent the two messages of a login,
// the second with the claims, and closed normally.
func wantLogin(t *testing.T, e end, claims map[string]any) {
	t.Helper()
	const prefix = "Here your decoded token: "
	if e.Code != 1000 || len(e.Messages) != 2 || e.Messages[0] != "Successfully Login!" || len(e.Messages[1]) < len(prefix) {
		t.Fatalf("the page got %+v, want a login", e)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(e.Messages[1][len(prefix):]), &got); err != nil {
		t.Fatalf("%q: %v", e.Messages[1], err)
	}
	if claims == nil && got != nil {
		t.Errorf("claims %v without a token", got)
	}
	for name, want := range claims {
		if got[name] != want {
			t.Errorf("claim %s is %v, want %v", name, got[name], want)
		}
	}
}

// refusedEnd returns the end of a socket that sent an error and closed.
func refusedEnd(text string, code int, reason string) end {
	return end{Code: code, Reason: reason, Opened: true, Messages: []string{text}}
}

var (
	accessClaims  = map[string]any{"sub": "test", "type": "access", "fresh": true}
	refreshClaims = map[string]any{"sub": "test", "type": "refresh"}
)

// TestQueryExample checks the query example in a browser: each value of -check
// with several tokens.
func TestQueryExample(t *testing.T) {
	const accessOnly, refreshOnly = "Only access tokens are allowed", "Only refresh tokens are allowed"
	const missing = "Missing access token from Query or Path"
	type paste struct {
		name, token string
		claims      map[string]any // of the login; nil if there is none
		refusedEnd  *end           // instead
	}
	refuse := func(text string, code int, reason string) *end {
		e := refusedEnd(text, code, reason)
		return &e
	}
	checks := map[string]func(tokens) []paste{
		"required": func(tk tokens) []paste {
			return []paste{
				{name: "access token", token: tk.Access, claims: accessClaims},
				{name: "refresh token", token: tk.Refresh, refusedEnd: refuse(accessOnly, 3003, "wrong_token_type")},
				{name: "no token", token: "", refusedEnd: refuse(missing, 3000, "token_missing")},
				{name: "no JWT", token: "hello", refusedEnd: refuse("Not enough segments", 3000, "token_invalid")},
				{name: "another's signature", token: tk.Access[:strings.LastIndex(tk.Access, ".")] + tk.Refresh[strings.LastIndex(tk.Refresh, "."):], refusedEnd: refuse("Signature verification failed", 3000, "token_invalid")},
			}
		},
		"optional": func(tk tokens) []paste {
			return []paste{
				{name: "access token", token: tk.Access, claims: accessClaims},
				{name: "no token", token: ""},
				{name: "refresh token", token: tk.Refresh, refusedEnd: refuse(accessOnly, 3003, "wrong_token_type")},
			}
		},
		"refresh": func(tk tokens) []paste {
			return []paste{
				{name: "refresh token", token: tk.Refresh, claims: refreshClaims},
				{name: "access token", token: tk.Access, refusedEnd: refuse(refreshOnly, 3003, "wrong_token_type")},
			}
		},
		"fresh": func(tk tokens) []paste {
			return []paste{{name: "access token", token: tk.Access, claims: accessClaims}}
		},
	}
	for check, pastes := range checks {
		t.Run(check, func(t *testing.T) {
			server := start(t, "query", "-addr", "127.0.0.1:0", "-check", check)
			var login tokens
			post(t, server.url+"/login", testUser, &login)
			page := newTab(t)
			for _, p := range pastes(login) {
				t.Run(p.name, func(t *testing.T) {
					page.t = t
					page.open(server.url)
					page.watchSockets()
					page.set("#token", p.token)
					page.click("#send")
					got := page.lastEnd()
					if shown := run[[]string](page, listedMessages); !cmp.Equal(shown, got.Messages) {
						t.Errorf("the page shows %q of the messages %q", shown, got.Messages)
					}
					if p.refusedEnd == nil {
						wantLogin(t, got, p.claims)
					} else if diff := cmp.Diff(*p.refusedEnd, got); diff != "" {
						t.Error(diff)
					}
				})
			}
		})
	}
}

// TestQueryExampleAPIPage checks that the API page passes the token of a login
// to the socket, so that nobody has to copy it.
func TestQueryExampleAPIPage(t *testing.T) {
	server := start(t, "query", "-addr", "127.0.0.1:0")
	page := newTab(t)
	page.open(server.url + "/docs")
	page.click("#login summary")
	page.click("#login form button")
	until[bool](page, `document.querySelector("#login pre").textContent.startsWith("200 ")`)
	page.click("#socket summary")
	page.click("#socket form button")
	until[bool](page, `document.querySelector("#socket pre").textContent.includes("closed: 1000")`)
	if got := page.text("#socket pre"); !strings.HasPrefix(got, "Successfully Login!") || !strings.Contains(got, `"sub":"test"`) {
		t.Errorf("the socket shows %q", got)
	}
}

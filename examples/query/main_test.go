package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth/examples/internal/seedtest"
)

const jsonType = "Content-Type: application/json"

func start(t *testing.T, check string) *seedtest.Server {
	t.Helper()
	routes, err := newRoutes(check)
	if err != nil {
		t.Fatal(err)
	}
	return seedtest.Start(t, routes, openapi)
}

func login(t *testing.T, server *seedtest.Server) (access, refresh string) {
	t.Helper()
	answer := server.Call(t, "POST", "/login", `{"username":"test","password":"test"}`, jsonType)
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &tokens); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("got %d %s: %v, want %v", answer.Status, answer.Body, err, http.StatusOK)
	}
	if want := `{"access_token":"` + tokens.Access + `","refresh_token":"` + tokens.Refresh + `"}`; answer.Body != want {
		t.Errorf("body %s, want %s", answer.Body, want)
	}
	return tokens.Access, tokens.Refresh
}

func TestDocument(t *testing.T) {
	routes, err := newRoutes("required")
	if err != nil {
		t.Fatal(err)
	}
	seedtest.CheckDocument(t, routes, openapi)
}

func TestPage(t *testing.T) {
	answer := start(t, "required").Call(t, "GET", "/", "")
	if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v", answer.Status, answer.Header)
	}
	for _, part := range []string{`<textarea id="token"`, ">Send</button>", `<ul id="messages">`, "${location.host}/ws?token="} {
		if !strings.Contains(answer.Body, part) {
			t.Errorf("the page has no %s", part)
		}
	}
}

func TestHTTP(t *testing.T) {
	const (
		wrong      = `{"detail":"Bad username or password"}`
		notFound   = `{"detail":"Not Found"}`
		notAllowed = `{"detail":"Method Not Allowed"}`
		unreadable = `{"detail":"There was an error parsing the body"}`
		noBody     = `{"detail":[{"loc":["body"],"msg":"field required","type":"value_error.missing"}]}`
		noJSON     = `{"detail":[{"loc":["body"],"msg":"the body is not JSON","type":"value_error.jsondecode"}]}`
		noObject   = `{"detail":[{"loc":["body"],"msg":"value is not a valid dict","type":"type_error.dict"}]}`
		noName     = `{"loc":["body","username"],"msg":"field required","type":"value_error.missing"}`
		noPassword = `{"loc":["body","password"],"msg":"field required","type":"value_error.missing"}`
		noText     = `{"loc":["body","password"],"msg":"str type expected","type":"type_error.str"}`
		good       = `{"username":"test","password":"test"}`
	)
	list := func(faults ...string) string { return `{"detail":[` + strings.Join(faults, ",") + `]}` }
	server := start(t, "required")
	for _, tt := range []struct {
		name, method, path, body, contentType string
		status                                int
		want                                  string
	}{
		{"wrong name", "POST", "/login", `{"username":"other","password":"test"}`, "application/json", 401, wrong},
		{"wrong password", "POST", "/login", `{"username":"test","password":"other"}`, "application/json", 401, wrong},
		{"empty password", "POST", "/login", `{"username":"test","password":""}`, "application/json", 401, wrong},
		{"no body", "POST", "/login", "", "application/json", 422, noBody},
		{"malformed JSON", "POST", "/login", `{"username":`, "application/json", 422, noJSON},
		{"two objects", "POST", "/login", good + good, "application/json", 422, noJSON},
		{"array", "POST", "/login", "[]", "application/json", 422, noObject},
		{"null", "POST", "/login", "null", "application/json", 422, noObject},
		{"text", "POST", "/login", `"test"`, "application/json", 422, noObject},
		{"missing password", "POST", "/login", `{"username":"test"}`, "application/json", 422, list(noPassword)},
		{"missing both", "POST", "/login", "{}", "application/json", 422, list(noName, noPassword)},
		{"name in another case", "POST", "/login", `{"Username":"test","password":"test"}`, "application/json", 422, list(noName)},
		{"wrong type", "POST", "/login", `{"username":"test","password":["test"]}`, "application/json", 422, list(noText)},
		{"null password", "POST", "/login", `{"username":"test","password":null}`, "application/json", 422, list(noText)},
		{"two faults", "POST", "/login", `{"password":{}}`, "application/json", 422, list(noName, noText)},
		{"form", "POST", "/login", "username=test&password=test", "application/x-www-form-urlencoded", 422, noObject},
		{"JSON as text", "POST", "/login", good, "text/plain", 422, noObject},
		{"no media type", "POST", "/login", good, ";", 422, noObject},
		{"not UTF-8", "POST", "/login", "{\"username\":\"\xff\"}", "application/json", 400, unreadable},
		{"too long", "POST", "/login", strings.Repeat(" ", 64<<10) + good, "application/json", 400, unreadable},
		{"GET /login", "GET", "/login", "", "", 405, notAllowed},
		{"PUT /login", "PUT", "/login", good, "application/json", 405, notAllowed},
		{"DELETE /login", "DELETE", "/login", "", "", 405, notAllowed},
		{"unknown path", "GET", "/unknown", "", "", 404, notFound},
		{"unknown path by POST", "POST", "/unknown", good, "application/json", 404, notFound},
		{"no socket", "GET", "/ws?token=a", "", "", 404, notFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			if tt.contentType != "" {
				fields = append(fields, "Content-Type: "+tt.contentType)
			}
			answer := server.Call(t, tt.method, tt.path, tt.body, fields...)
			if answer.Status != tt.status || answer.Body != tt.want || answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %v, want %d %s", answer.Status, answer.Body, answer.Header, tt.status, tt.want)
			}
			if allow := answer.Header.Get("Allow"); (tt.status == http.StatusMethodNotAllowed) != (allow == "POST") {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
	for _, field := range []string{"X-None: ", jsonType, "Content-Type: application/json; charset=utf-8", "Content-Type: application/vnd.api+json"} {
		if answer := server.Call(t, "POST", "/login", good, field); answer.Status != http.StatusOK {
			t.Errorf("%q: got %d %s, want %v", field, answer.Status, answer.Body, http.StatusOK)
		}
	}
}

func TestTokens(t *testing.T) {
	server := start(t, "required")
	seen := map[string]bool{}
	for range 3 {
		access, refresh := login(t, server)
		one, csrf := seedtest.CheckIssued(t, seedtest.Fresh, access)
		two, refreshCSRF := seedtest.CheckIssued(t, seedtest.Refresh, refresh)
		if seen[one] || seen[two] || one == two {
			t.Errorf("jti %s and %s, one of which is not new", one, two)
		}
		seen[one], seen[two] = true, true
		if csrf != "" || refreshCSRF != "" {
			t.Error("a csrf claim without cookies")
		}
	}
}

func TestLogin(t *testing.T) {
	server := start(t, "required")
	access, _ := login(t, server)
	_, payload := seedtest.Parts(t, access)
	for _, origin := range []string{"X-None: ", "Origin: " + server.URL} {
		seedtest.CheckLogin(t, server.Dial(t, "/ws?token="+access, origin), payload)
	}
}

// program returns a Program with a server for each of the four checks.
func program(t *testing.T) seedtest.Program {
	servers := map[string]*seedtest.Server{}
	for _, check := range []string{"required", "optional", "refresh", "fresh"} {
		servers[check] = start(t, check)
	}
	const access, refresh = "Missing access token from Query or Path", "Missing refresh token from Query or Path"
	return seedtest.Program{
		Ask: func(t *testing.T, check string, d *seedtest.Draft) seedtest.Talk {
			t.Helper()
			return servers[check].Dial(t, "/ws?token="+url.QueryEscape(d.Token(t)))
		},
		Missing: map[string]string{"required": access, "refresh": refresh, "fresh": access},
	}
}

func TestChecks(t *testing.T)  { program(t).TestChecks(t) }
func TestOrder(t *testing.T)   { program(t).TestOrder(t) }
func TestHostile(t *testing.T) { program(t).TestHostile(t) }

// TestQuery checks invalid and ambiguous queries.
func TestQuery(t *testing.T) {
	server := start(t, "required")
	token := seedtest.NewDraft(seedtest.Fresh).Token(t)
	invalid := seedtest.Refused("Invalid token", seedtest.Unauthorized, "token_invalid")
	missing := seedtest.Refused("Missing access token from Query or Path", seedtest.Unauthorized, "token_missing")
	unclear := seedtest.Refused("The parameter token is not given once and plainly", seedtest.Forbidden, "invalid_request")
	for query, want := range map[string]seedtest.Talk{
		"token=":                     missing,
		"token":                      missing,
		"token=" + token + "%0A":     invalid,
		"token=%0D%0A" + token:       invalid,
		"token=%00" + token:          invalid,
		"token=" + token + "&token=": unclear,
		"token=&token=" + token:      unclear,
		"%74oken=" + token:           unclear,
		"token=%zz&token=" + token:   unclear,
	} {
		if diff := cmp.Diff(want, server.Dial(t, "/ws?"+query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

// TestParameterAbsent checks that no socket opens without the parameter token,
// whatever the check is.
func TestParameterAbsent(t *testing.T) {
	token := seedtest.NewDraft(seedtest.Fresh).Token(t)
	for _, check := range []string{"required", "optional", "refresh", "fresh"} {
		server := start(t, check)
		for _, query := range []string{"", "?", "?Token=" + token, "?access_token=" + token} {
			got := server.Dial(t, "/ws"+query, "Authorization: Bearer "+token)
			if diff := cmp.Diff(seedtest.Talk{Status: http.StatusForbidden}, got); diff != "" {
				t.Errorf("%s, %q: %s", check, query, diff)
			}
		}
	}
}

func TestHandshake(t *testing.T) {
	seedtest.CheckHandshake(t, start(t, "required"), "/ws?token="+seedtest.NewDraft(seedtest.Fresh).Token(t))
}

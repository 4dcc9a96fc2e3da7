package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/routers"

	"wsauth/idp"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/openapitest"
	"wsauth/login"
)

// document is /openapi.json, parsed and found valid.
var document = sync.OnceValues(func() (openapitest.Document, error) {
	text, err := os.ReadFile("demo/web/openapi.json")
	if err != nil {
		return openapitest.Document{}, err
	}
	return openapitest.Parse(text)
})

// checkDocumented compares an answer with the document.
func checkDocumented(t *testing.T, req *http.Request, e exchange) {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	doc.Check(t, req, e.Response, e.body, "/assets/{file}", "/auth/client/{file}", "/auth/sessions/{sid}")
}

// checkSocketDocumented compares the answer to a handshake with the document.
// If it opens no socket, its body can be read again.
func checkSocketDocumented(t *testing.T, resp *http.Response) exchange {
	t.Helper()
	e := exchange{Response: resp}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		e.body, resp.Body = string(text), io.NopCloser(bytes.NewReader(text))
	}
	checkDocumented(t, resp.Request, e)
	return e
}

func TestOpenAPIDescribesEveryRouteAndNoOther(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	served := map[string]bool{}
	providers := []*idp.Provider{must(idp.New(idp.Config{Preset: idp.Standard, Issuer: "https://idp.example", Audience: []string{"chat"}, Namespace: "idp"}))}
	for _, r := range must(start(t).g.endpoints(&Config{Login: login.Config{Prefix: "/auth", Users: demo.Users{}}, Tokens: tokens.Config{Providers: providers}})) {
		served[r.Method+" "+strings.TrimSuffix(r.Path, "{$}")] = true
	}
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			described[method+" "+path] = true
			if operation.OperationID == "" || operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 {
				t.Errorf("%s %s lacks an id, a summary, a description or its one tag", method, path)
			}
		}
	}
	if len(served) == 0 {
		t.Fatal("no routes")
	}
	for r := range served {
		if !described[r] {
			t.Errorf("%s is served but not described", r)
		}
	}
	for r := range described {
		if !served[r] {
			t.Errorf("%s is described but not served", r)
		}
	}
}

// TestCheckDocumentedRefuses checks that checkDocumented can fail.
func TestCheckDocumentedRefuses(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Value("/auth/login")
	route := &routers.Route{Spec: doc.T, Path: "/auth/login", PathItem: item, Method: "POST", Operation: item.Post}
	for name, tt := range map[string]struct {
		status int
		body   string
		bad    bool
	}{
		"undocumented status": {299, `{}`, true},
		"missing member":      {200, `{"access_token":"a","token_type":"Bearer","expires_in":1}`, true},
		"wrong constant":      {200, `{"access_token":"a","refresh_token":"b","token_type":"bearer","expires_in":1}`, true},
		"as documented":       {200, `{"access_token":"a","refresh_token":"b","token_type":"Bearer","expires_in":1}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, "/auth/login", nil)
			header := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}
			err := openapitest.Validate(t, req, route, tt.status, header, tt.body)
			if (err != nil) != tt.bad {
				t.Error(err)
			}
		})
	}
}

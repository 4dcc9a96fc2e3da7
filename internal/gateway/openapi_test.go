package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/routers"

	"wsauth/idp"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/openapitest"
	"wsauth/login"
)

// document is /openapi.json, parsed and found valid.
var document = openapitest.Read("demo/web/openapi.json")

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

// TestDocumentRefuses checks that the comparison with the document can fail.
func TestDocumentRefuses(t *testing.T) {
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

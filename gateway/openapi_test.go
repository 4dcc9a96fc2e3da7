package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"wsauth/idp"
)

// The bodies of the pages have no schema to be held against.
func init() {
	for _, name := range []string{"text/html", "text/javascript", "text/css", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(name, openapi3filter.FileBodyDecoder)
	}
}

// document is /openapi.json, parsed and found valid.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(files["openapi.json"].body)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

// anywhere are the answers that every address may give, and that are not repeated for each in the document.
var anywhere = map[int]bool{
	http.StatusMethodNotAllowed:            true,
	http.StatusRequestURITooLong:           true,
	http.StatusRequestHeaderFieldsTooLarge: true,
}

// checkDocumented holds an answer against the document: its status, its headers and its body.
func checkDocumented(t *testing.T, req *http.Request, e exchange) {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	path := req.URL.Path
	for prefix, wildcard := range map[string]string{"/assets/": "{file}", "/auth/client/": "{file}", "/auth/sessions/": "{sid}"} {
		if strings.HasPrefix(path, prefix) {
			path = prefix + wildcard
		}
	}
	item := doc.Paths.Value(path)
	if item == nil || item.GetOperation(req.Method) == nil || anywhere[e.StatusCode] {
		return
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req,
			Route:   &routers.Route{Spec: doc, Path: path, PathItem: item, Method: req.Method, Operation: item.GetOperation(req.Method)},
		},
		Status:  e.StatusCode,
		Header:  e.Header,
		Body:    io.NopCloser(bytes.NewBufferString(e.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s answered %d, which is not as documented: %v", req.Method, path, e.StatusCode, err)
	}
}

// checkSocketDocumented does so for the answer to a handshake. One that is no socket has a body, which can be read again.
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
	for _, r := range must(start(t).g.endpoints(Config{AuthPrefix: "/auth", Authenticate: DemoUser, Providers: providers}, mustLoad(t))) {
		served[r.method+" "+strings.TrimSuffix(r.path, "{$}")] = true
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

// The check above is worth something only if it can fail.
func TestCheckDocumentedRefuses(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Value("/auth/login")
	route := &routers.Route{Spec: doc, Path: "/auth/login", PathItem: item, Method: "POST", Operation: item.Post}
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
			err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route},
				Status:                 tt.status,
				Header:                 http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}},
				Body:                   io.NopCloser(strings.NewReader(tt.body)),
				Options:                &openapi3filter.Options{IncludeResponseStatus: true},
			})
			if (err != nil) != tt.bad {
				t.Error(err)
			}
		})
	}
}

func mustLoad(t *testing.T) assets {
	t.Helper()
	files, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

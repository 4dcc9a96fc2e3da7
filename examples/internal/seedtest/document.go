package seedtest

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"wsauth/examples/web"
)

// init registers decoders for the bodies of pages, which have no schema.
func init() {
	for _, name := range []string{"text/html", "text/css", "text/javascript"} {
		openapi3filter.RegisterBodyDecoder(name, openapi3filter.FileBodyDecoder)
	}
}

// load reads a document and validates it.
func load(t *testing.T, openapi []byte) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(openapi)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(loader.Context); err != nil {
		t.Fatal(err)
	}
	return document
}

// CheckDocument checks that openapi is an OpenAPI 3.1 document. It must
// describe all routes and nothing else, with everything that the API page
// shows. The program must serve the document and the API page.
func CheckDocument(t *testing.T, routes web.Routes, openapi []byte) {
	t.Helper()
	document := load(t, openapi)
	if document.OpenAPI != "3.1.0" {
		t.Errorf("version %q", document.OpenAPI)
	}
	var described []string
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			described = append(described, method+" "+path)
			if operation.OperationID == "" || operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 || document.Tags.Get(operation.Tags[0]) == nil {
				t.Errorf("%s %s lacks an id, a summary, a description or its one tag", method, path)
			}
		}
	}
	var served []string
	for pattern := range maps.Keys(routes) {
		if !strings.Contains(pattern, " ") {
			pattern = "GET " + pattern // this is the socket's pattern
		}
		served = append(served, strings.TrimSuffix(pattern, "{$}"))
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(served, described); diff != "" || len(served) == 0 {
		t.Errorf("served (-) and described (+) differ: %s", diff)
	}
	server := Start(t, routes, openapi)
	if answer := server.Call(t, "GET", "/openapi.json", ""); answer.Body != string(openapi) {
		t.Errorf("/openapi.json is %s", answer.Body)
	}
	docs := server.Call(t, "GET", "/docs", "")
	if docs.Status != http.StatusOK || docs.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("/docs: %d %v", docs.Status, docs.Header)
	}
	for path, status := range map[string]int{"/assets/docs.js": 200, "/assets/docs.css": 200, "/assets/none.js": 404, "/assets/..%2fpages.go": 404} {
		answer := server.Call(t, "GET", path, "")
		if answer.Status != status || strings.Contains(docs.Body, `"`+path+`"`) != (status == http.StatusOK) {
			t.Errorf("%s: got %d %v", path, answer.Status, answer.Header)
		}
	}
}

// checkDocumented compares the status, the headers and the body of an answer
// with the document. If the document lacks the path or the method, the answer
// must be 404 or 405.
func (s *Server) checkDocumented(t *testing.T, request *http.Request, a Answer) {
	t.Helper()
	path := request.URL.Path
	if strings.HasPrefix(path, "/assets/") {
		path = "/assets/{file}"
	}
	item := s.document.Paths.Value(path)
	if item == nil || item.GetOperation(request.Method) == nil {
		if a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s answered %d and is not documented", request.Method, path, a.Status)
		}
		return
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route: &routers.Route{
				Spec: s.document, Path: path, PathItem: item, Method: request.Method, Operation: item.GetOperation(request.Method),
			},
		},
		Status:  a.Status,
		Header:  a.Header,
		Body:    io.NopCloser(strings.NewReader(a.Body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s answered %d, which is not as documented: %v", request.Method, path, a.Status, err)
	}
}

// Package openapitest compares answers with an OpenAPI document, for tests.
package openapitest

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// init registers a decoder for the bodies of pages, which have no schema.
func init() {
	for _, name := range []string{"text/html", "text/javascript", "text/css", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(name, openapi3filter.FileBodyDecoder)
	}
}

// A Document is a valid OpenAPI document.
type Document struct{ *openapi3.T }

// Parse parses a document and validates it.
func Parse(text []byte) (Document, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return Document{}, err
	}
	return Document{doc}, doc.Validate(loader.Context)
}

// Read returns a function that reads the document in a file, once.
func Read(name string) func() (Document, error) {
	return sync.OnceValues(func() (Document, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return Document{}, err
		}
		return Parse(text)
	})
}

// anywhere lists the statuses that every path may answer with. The document
// does not repeat them for each.
var anywhere = map[int]bool{
	http.StatusMethodNotAllowed:            true,
	http.StatusRequestURITooLong:           true,
	http.StatusRequestHeaderFieldsTooLarge: true,
}

// Check compares the answer to r with the document: its status, its header and
// its body. wildcards lists the paths of the document that end with a wildcard.
func (d Document) Check(t testing.TB, r *http.Request, answer *http.Response, body string, wildcards ...string) {
	t.Helper()
	path := r.URL.Path
	for _, w := range wildcards {
		if prefix := w[:strings.Index(w, "{")]; strings.HasPrefix(path, prefix) {
			path = w
		}
	}
	item := d.Paths.Value(path)
	if item == nil || item.GetOperation(r.Method) == nil || anywhere[answer.StatusCode] {
		return
	}
	route := &routers.Route{Spec: d.T, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}
	if err := Validate(t, r, route, answer.StatusCode, answer.Header, body); err != nil {
		t.Errorf("%s %s answered %d, which is not as documented: %v", r.Method, path, answer.StatusCode, err)
	}
}

// Validate returns how an answer of a route differs from its description.
func Validate(t testing.TB, r *http.Request, route *routers.Route, status int, header http.Header, body string) error {
	return openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewBufferString(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

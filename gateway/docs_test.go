package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDocsServesAnotherDocument(t *testing.T) {
	const document = `{"openapi":"3.1.0"}`
	docs, err := Docs([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		docs.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	files := mustLoad(t)
	for path, want := range map[string]struct{ contentType, body string }{
		"/docs":           {"text/html; charset=utf-8", string(files["docs.html"].body)},
		"/openapi.json":   {"application/json", document},
		"/assets/docs.js": {"text/javascript; charset=utf-8", string(files["docs.js"].body)},
	} {
		w := get(http.MethodGet, path)
		if w.Code != http.StatusOK || w.Body.String() != want.body || w.Header().Get("Content-Type") != want.contentType {
			t.Errorf("%s: %d %v %q", path, w.Code, w.Header(), w.Body)
		}
		if w.Header().Get("Content-Security-Policy") != contentSecurityPolicy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has not the security headers: %v", path, w.Header())
		}
		if w := get(http.MethodPost, path); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d %v", path, w.Code, w.Header())
		}
	}
	for _, path := range []string{"/", "/assets/", "/assets/none.js", "/assets/..%2fdocs.go"} {
		if w := get(http.MethodGet, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestDocsNeedsJSON(t *testing.T) {
	for _, document := range []string{"", "openapi: 3.1.0", `{"openapi":"3.1.0"}}`} {
		if docs, err := Docs([]byte(document)); err == nil || docs != nil {
			t.Errorf("%q: %v, want an error", document, err)
		}
	}
}

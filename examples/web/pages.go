package web

import (
	"embed"
	"net/http"
	"path"
)

//go:embed docs
var docs embed.FS

// Pages returns routes for three resources: the page at /, the OpenAPI document
// at /openapi.json, and a page at /docs that shows the document as forms.
func Pages(page string, openapi []byte) Routes {
	return Routes{
		"GET /{$}": func(w http.ResponseWriter, _ *http.Request) {
			write(w, "text/html; charset=utf-8", []byte(page))
		},
		"GET /openapi.json": func(w http.ResponseWriter, _ *http.Request) {
			write(w, "application/json", openapi)
		},
		"GET /docs": func(w http.ResponseWriter, _ *http.Request) {
			// The page shows tokens, so it runs no script but its own.
			w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
			writeDocs(w, "docs.html")
		},
		"GET /assets/{file}": func(w http.ResponseWriter, r *http.Request) {
			writeDocs(w, r.PathValue("file"))
		},
	}
}

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// writeDocs responds with a file of the page at /docs, or with 404.
func writeDocs(w http.ResponseWriter, name string) {
	body, err := docs.ReadFile("docs/" + name)
	if err != nil {
		notFound(w)
		return
	}
	write(w, contentTypes[path.Ext(name)], body)
}

func write(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) // fails only if the client has disconnected
}

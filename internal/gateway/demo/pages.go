package demo

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"wsauth/internal/httpx"
	"wsauth/internal/problem"
	"wsauth/internal/staticfile"
)

//go:embed web
var web embed.FS

// loadFiles returns the files of the pages.
func loadFiles() (staticfile.Files, error) {
	dir, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	return staticfile.Load(dir)
}

// Pages returns the endpoints of the pages: the page of the demonstration, and
// the API page for the gateway's own endpoints.
func Pages() ([]problem.Endpoint, error) {
	files, err := loadFiles()
	if err != nil {
		return nil, err
	}
	page := problem.Endpoint{Method: http.MethodGet, Path: "/{$}", Handler: files["index.html"]}
	return append(apiPage(files, files["openapi.json"]), page), nil
}

// Docs returns an interactive API page for any server. GET /docs shows
// openapi, an OpenAPI 3.1 document, as forms that call the API. GET
// /openapi.json returns the document, and GET /assets/{file} the files that
// the page loads. Mount the handler at these three paths, without a prefix.
// Docs returns an error if openapi is not JSON.
//
// The page expects one tag per operation, which must be in the document's list
// of tags; a description of each tag, operation and parameter; and an example
// of each JSON body. It supports two extensions: "x-websocket": true on an
// operation that opens a socket, and "x-from" on a parameter, which names the
// member of an answer that fills it in.
func Docs(openapi []byte) (http.Handler, error) {
	if !json.Valid(openapi) {
		return nil, errors.New("demo: the OpenAPI document is not JSON")
	}
	files, err := loadFiles()
	if err != nil {
		return nil, err
	}
	endpoints := apiPage(files, staticfile.New(openapi, staticfile.JSON, staticfile.Revalidate))
	return httpx.WithSecurityHeaders(problem.NewMux(endpoints, func(w http.ResponseWriter, _ *http.Request, d problem.Document) {
		problem.New(d).Write(w)
	})), nil
}

func apiPage(files staticfile.Files, document *staticfile.File) []problem.Endpoint {
	return []problem.Endpoint{
		{Method: http.MethodGet, Path: "/docs", Handler: files["docs.html"]},
		{Method: http.MethodGet, Path: "/openapi.json", Handler: document},
		{Method: http.MethodGet, Path: "/assets/{file}", Handler: files},
	}
}

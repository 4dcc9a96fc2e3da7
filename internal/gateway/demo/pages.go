package demo

import (
	"embed"
	"io/fs"
	"net/http"

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
// the API page, which shows openapi.json as forms that call the gateway.
//
// The API page expects one tag per operation, which must be in the document's
// list of tags; a description of each tag, operation and parameter; and an
// example of each JSON body. It supports two extensions: "x-websocket": true on
// an operation that opens a socket, and "x-from" on a parameter, which names
// the member of an answer that fills it in.
func Pages() ([]problem.Endpoint, error) {
	files, err := loadFiles()
	if err != nil {
		return nil, err
	}
	return []problem.Endpoint{
		{Method: http.MethodGet, Path: "/{$}", Handler: files["index.html"]},
		{Method: http.MethodGet, Path: "/docs", Handler: files["docs.html"]},
		{Method: http.MethodGet, Path: "/openapi.json", Handler: files["openapi.json"]},
		{Method: http.MethodGet, Path: "/assets/{file}", Handler: files},
	}, nil
}

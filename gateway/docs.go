package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Docs returns an interactive API page for any server. GET /docs shows
// openapi, an OpenAPI 3.1 document, as forms that call the API. GET
// /openapi.json returns the document, and GET /assets/{file} the files that
// the page loads. Mount the handler at these three paths, without a prefix.
// Every answer has the security headers of a [Gateway]. Docs returns an error
// if openapi is not JSON.
//
// The page expects one tag per operation, which must be in the document's list
// of tags; a description of each tag, operation and parameter; and an example
// of each JSON body. It supports two extensions: "x-websocket": true on an
// operation that opens a socket, and "x-from" on a parameter, which names the
// member of an answer that fills it in.
func Docs(openapi []byte) (http.Handler, error) {
	if !json.Valid(openapi) {
		return nil, errors.New("gateway: Docs: the OpenAPI document is not JSON")
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	return withSecurityHeaders(newMux(docsEndpoints(files, newAsset(openapi, contentTypes[".json"])))), nil
}

// docsEndpoints returns the endpoints of the API page for document, and of the
// files that pages load.
func docsEndpoints(files assets, document http.Handler) []endpoint {
	return []endpoint{
		{http.MethodGet, "/docs", files.handler("docs.html")},
		{http.MethodGet, "/openapi.json", document},
		{http.MethodGet, "/assets/{file}", files.serve("")},
	}
}

package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Docs serves an interactive API page for any server: GET /docs shows the OpenAPI 3.1 document openapi as forms that call what it
// describes, GET /openapi.json is the document itself, and GET /assets/{file} what the page loads. Mount the handler at these
// three paths, without a prefix. Every answer has the security headers of a [Gateway]. It fails where openapi is not JSON.
//
// The page counts on one tag for each operation, which the document's own list of tags has, on a description of each tag, operation
// and parameter, and on an example of each JSON body. Two extensions are its own: "x-websocket": true on an operation that opens a
// socket, and on a parameter "x-from", the name of the member of an answer that fills it in.
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

// docsEndpoints are the API page for document, and what the pages load.
func docsEndpoints(files assets, document http.Handler) []endpoint {
	return []endpoint{
		{http.MethodGet, "/docs", files.handler("docs.html")},
		{http.MethodGet, "/openapi.json", document},
		{http.MethodGet, "/assets/{file}", files.serve("")},
	}
}

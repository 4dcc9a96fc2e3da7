package demo

import (
	"embed"
	"io/fs"
	"net/http"

	"wsauth/internal/gateway/telemetry"
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

// SocketPath is the path of the echo socket.
const SocketPath = "/ws"

// Endpoints returns the endpoints of the demonstration: its page, the API page,
// and the echo socket, which the given handler serves. The API page shows
// openapi.json as forms that call the gateway.
//
// The API page expects one tag per operation, which must be in the document's
// list of tags; a description of each tag, operation and parameter; and an
// example of each JSON body. It supports two extensions: "x-websocket": true on
// an operation that opens a socket, and "x-from" on a parameter, which names
// the member of an answer that fills it in.
func Endpoints(socket http.Handler) ([]problem.Endpoint, error) {
	files, err := loadFiles()
	if err != nil {
		return nil, err
	}
	return []problem.Endpoint{
		{Method: http.MethodGet, Path: "/{$}", Handler: files["index.html"]},
		{Method: http.MethodGet, Path: "/docs", Handler: files["docs.html"]},
		{Method: http.MethodGet, Path: "/openapi.json", Handler: files["openapi.json"]},
		{Method: http.MethodGet, Path: "/assets/{file}", Handler: files},
		{Method: http.MethodGet, Path: SocketPath, Handler: upgradesOnly(socket)},
	}, nil
}

// upgradesOnly answers a plain request for the socket with 426, for example if
// a person opens it as a link. HEAD is always plain: an upgrade is a GET (RFC
// 6455 section 4.1), and a server may ignore other upgrades (RFC 9110 section
// 7.8).
func upgradesOnly(next http.Handler) http.Handler {
	plain := telemetry.Problem(http.StatusUpgradeRequired, "invalid_handshake", "This address is a WebSocket: open it with a WebSocket client")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-WebSocket-Version", "13")
		plain(w, r)
	})
}

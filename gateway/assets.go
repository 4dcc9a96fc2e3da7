package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"wsauth/client"
	"wsauth/internal/gateway/telemetry"
)

//go:embed web
var web embed.FS

// An asset is a file that the pages consist of or load.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

// assets maps names to files. Only these names are served, so path traversal
// is not possible.
type assets map[string]asset

// contentTypes maps file extensions to content types. The tables of the system
// are not used: they differ between systems, and the content type decides what
// a browser executes.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": "application/json",
}

// clientPrefix is the prefix of the names of the browser client's modules.
const clientPrefix = "client/"

func loadAssets() (assets, error) {
	pages, err := fs.Sub(web, "web")
	if err != nil {
		return nil, fmt.Errorf("gateway: assets: %w", err)
	}
	files := assets{}
	return files, errors.Join(files.load("", pages), files.load(clientPrefix, client.Files()))
}

// load adds the files at the root of dir, with prefix before their names.
func (a assets) load(prefix string, dir fs.FS) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return fmt.Errorf("gateway: assets: %w", err)
	}
	for _, e := range entries {
		body, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			return fmt.Errorf("gateway: assets: %w", err)
		}
		contentType, ok := contentTypes[path.Ext(e.Name())]
		if !ok {
			return fmt.Errorf("gateway: assets: no content type for %s", e.Name())
		}
		a[prefix+e.Name()] = newAsset(body, contentType)
	}
	return nil
}

// newAsset returns an asset whose ETag is derived from body.
func newAsset(body []byte, contentType string) asset {
	sum := sha256.Sum256(body)
	return asset{body, contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// serve returns a handler for the files whose names begin with prefix. The
// wildcard {file} of the pattern is the rest of the name.
func (a assets) serve(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := a[prefix+r.PathValue("file")]
		if !ok {
			telemetry.Problem(http.StatusNotFound, "", "There is no such file")(w, r)
			return
		}
		file.ServeHTTP(w, r)
	})
}

// handler returns the handler of the file called name, which must exist.
func (a assets) handler(name string) http.Handler {
	file, ok := a[name]
	if !ok {
		panic("gateway: no asset " + name) // the name is a constant, and the file is embedded
	}
	return file
}

// ServeHTTP answers with the file, or with 304 if the client has it. Clients
// revalidate each time, so a new version is visible at once.
func (f asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// Package client holds the browser client of wsauth, for servers that serve it
// to their own pages: an ES module, wsauth.js, and the modules that it imports
// from the same folder. README.md describes how a page uses it.
package client

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"time"
)

//go:embed wsauth.js session.js lease.js advice.js messages.js setup.js path.js
var files embed.FS

// Files returns the modules of the client, at the root of the file system.
func Files() fs.FS { return files }

// Handler returns a handler that serves each module at "/" followed by its
// name. Mount it below a separate path:
//
//	mux.Handle("GET /client/", http.StripPrefix("/client", client.Handler()))
//
// A browser asks each time whether a module has changed, so that all modules
// have the same version.
func Handler() http.Handler {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err) // the files are embedded
	}
	mux := http.NewServeMux()
	for _, e := range entries {
		body, err := fs.ReadFile(files, e.Name())
		if err != nil {
			panic(err)
		}
		mux.Handle("GET /"+e.Name(), module(body))
	}
	return mux
}

// module returns a handler that serves one module.
func module(body []byte) http.Handler {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", etag)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

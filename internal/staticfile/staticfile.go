// Package staticfile serves files from memory.
package staticfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"wsauth/internal/problem"
)

// revalidate is the Cache-Control of a file for which clients ask each time
// whether it has changed, so that a new version is visible at once.
const revalidate = "no-cache"

// A File is a file and the headers with which it is served.
type File struct {
	body                            []byte
	contentType, cacheControl, etag string
}

// New returns a file whose ETag is derived from body.
func New(body []byte, contentType, cacheControl string) *File {
	sum := sha256.Sum256(body)
	return &File{body, contentType, cacheControl, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// String returns the content of the file.
func (f *File) String() string { return string(f.body) }

// ServeHTTP answers with the file, or with 304 if the client has it.
func (f *File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Cache-Control", f.cacheControl)
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// Files maps names to files. Only these names are served, so path traversal is
// not possible.
type Files map[string]*File

// JSON is the content type of JSON.
const JSON = "application/json"

// contentTypes maps file extensions to content types. The tables of the system
// are not used: they differ between systems, and the content type decides what
// a browser executes.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": JSON,
}

// Load returns the files at the root of dir. Clients revalidate them.
func Load(dir fs.FS) (Files, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("staticfile: %w", err)
	}
	files := Files{}
	for _, e := range entries {
		body, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			return nil, fmt.Errorf("staticfile: %w", err)
		}
		contentType, ok := contentTypes[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("staticfile: no content type for %s", e.Name())
		}
		files[e.Name()] = New(body, contentType, revalidate)
	}
	return files, nil
}

// ServeHTTP serves the file that the wildcard {file} of the pattern names, and
// answers 404 if there is none.
func (f Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := f[r.PathValue("file")]
	if !ok {
		problem.New(problem.Document{Status: http.StatusNotFound, Detail: "There is no such file"}).Write(w)
		return
	}
	file.ServeHTTP(w, r)
}

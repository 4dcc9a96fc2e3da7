package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// A Document is a parsed file: its settings, their lines, and the faults found
// so far.
type Document struct {
	Settings Settings

	file    string
	lines   map[string]int    // lines of keys
	sources map[string]string // sources of values that are not from the file
	faults  Faults
}

//go:embed example.yaml
var example string

// Example returns a file with all keys, their defaults and explanations. Keys
// without a default are commented out.
func Example() string { return example }

// New returns a document without a file.
func New() *Document {
	return &Document{Settings: Default(), lines: map[string]int{}, sources: map[string]string{}}
}

// Read reads a file. It returns an error only if the file cannot be read;
// faults in it are reported by [Maker.Make].
func Read(file string) (*Document, error) {
	text, err := ReadText(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text), nil
}

// ReadText reads the text of a file.
func ReadText(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the configuration: %w: check the path, or begin with \"wsauth config example\"", err)
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// Parse parses the text of a file. File names in it are relative to the folder
// of file.
func Parse(file string, text []byte) *Document {
	d := New()
	d.file = file
	root, faults := readNodes(text)
	d.faults = faults
	if root != nil {
		decoder := &decoder{folder: filepath.Dir(file), lines: d.lines}
		decoder.value("", root, reflect.ValueOf(&d.Settings).Elem(), "")
		d.faults = append(d.faults, decoder.faults...)
	}
	for i := range d.faults {
		d.faults[i].File = file
	}
	return d
}

// Override declares that the value of a key comes from another source, such as
// "--addr". Faults of the value then name the source. Faults of the value in
// the file are dropped.
func (d *Document) Override(key, source string) {
	d.sources[key] = source
	var kept Faults
	for _, f := range d.faults {
		if f.Key == "" || !isWithin(f.Key, key) {
			kept = append(kept, f)
		}
	}
	d.faults = kept
}

// Has reports whether the file or another source sets the key.
func (d *Document) Has(key string) bool { return d.lines[key] > 0 || d.sources[key] != "" }

// fault returns a fault of a key.
func (d *Document) fault(key, format string, args ...any) Fault {
	return Fault{File: d.file, Line: d.line(key), Key: key, Source: d.source(key), Text: fmt.Sprintf(format, args...)}
}

// defaultSource maps a key whose default depends on another key to that key.
var defaultSource = map[string]string{"refresh_ttl": "access_ttl", "session_ttl": "refresh_ttl"}

// line returns the line of a key. If the key is not in the file, it returns the
// line of the key that contains it or that its default depends on, or 1.
func (d *Document) line(key string) int {
	for at := key; at != ""; at = parent(at) {
		if line := d.lines[at]; line > 0 {
			return line
		}
		if other := defaultSource[at]; other != "" {
			return d.line(other)
		}
	}
	return 1
}

// source returns the source of the value of a key if the file does not set it,
// or else "". If the key has no source, it returns that of the key that
// contains it or that its default depends on.
func (d *Document) source(key string) string {
	for at := key; at != ""; at = parent(at) {
		if s := d.sources[at]; s != "" {
			return s
		}
		if other := defaultSource[at]; other != "" && d.lines[at] == 0 {
			return d.source(other)
		}
	}
	return ""
}

// parent returns the key that contains a key, or "" at the top level.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

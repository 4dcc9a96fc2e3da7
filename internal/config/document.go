package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// A Document is a file that was read: what it says, where, and what is wrong with it so far.
type Document struct {
	Settings Settings

	file    string
	lines   map[string]int    // where keys stand
	sources map[string]string // of values that are not from the file
	faults  Faults
}

// New is a document without a file.
func New() *Document {
	return &Document{Settings: Default(), lines: map[string]int{}, sources: map[string]string{}}
}

// Read reads a file. It is an error only if that cannot be read; what is wrong with what it says is told by [Maker.Make].
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

// Parse reads the text of a file. Names of files in it are relative to the folder of that file.
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

// Override notes that the value of a key is from elsewhere, such as "--addr": faults of it then name that, and those that the file has
// in its place no longer count.
func (d *Document) Override(key, source string) {
	d.sources[key] = source
	var kept Faults
	for _, f := range d.faults {
		if f.Key == "" || !within(f.Key, key) {
			kept = append(kept, f)
		}
	}
	d.faults = kept
}

// Has reports whether the file has the key, or something else says it in its place.
func (d *Document) Has(key string) bool { return d.lines[key] > 0 || d.sources[key] != "" }

// fault makes a fault of a key.
func (d *Document) fault(key, format string, args ...any) Fault {
	return Fault{File: d.file, Line: d.line(key), Key: key, Source: d.source(key), Text: fmt.Sprintf(format, args...)}
}

// relatives are the keys by which a default can become wrong.
var relatives = map[string]string{"refresh_ttl": "access_ttl", "session_ttl": "refresh_ttl"}

// line is where the key stands, or else what holds it, or what else is to blame.
func (d *Document) line(key string) int {
	for at := key; at != ""; at = holder(at) {
		if line := d.lines[at]; line > 0 {
			return line
		}
		if other := relatives[at]; other != "" {
			return d.line(other)
		}
	}
	return 1
}

// source is what says the value of the key, or of what holds it, or of what else is to blame, where it is not the file.
func (d *Document) source(key string) string {
	for at := key; at != ""; at = holder(at) {
		if s := d.sources[at]; s != "" {
			return s
		}
		if other := relatives[at]; other != "" && d.lines[at] == 0 {
			return d.source(other)
		}
	}
	return ""
}

// holder is the key that holds a key: "" for those at the top.
func holder(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

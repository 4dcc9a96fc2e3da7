package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzParse checks that for any text, nothing panics, every error has a line of
// the file and is itself one line, and parsing again gives the same result. A
// text without an error must yield settings that a gateway accepts.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/faulty/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(Example())
	f.Add(settingOff.ReplaceAllString(Example(), "$1"))
	f.Add("routes: [{path: /, upstream: 'unix:/run/a.sock', claims: {a: [1, true]}}]")
	f.Add("a: |\n  b\n? c\n: d\n\"e\\n\": {<<: *f}\r\n%YAML 1.2\n--- \n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := Parse("f.yaml", []byte(text))
		_, err := (&Maker{}).Make(d)
		lines := max(1, strings.Count(strings.TrimSuffix(text, "\n"), "\n")+1)
		if faults, ok := errors.AsType[Faults](err); err != nil && !ok {
			t.Fatalf("%T", err)
		} else {
			for _, fault := range faults {
				if fault.Line < 1 || fault.Line > lines || fault.File != "f.yaml" || fault.Text == "" {
					t.Errorf("%+v, of %d lines", fault, lines)
				}
				if strings.ContainsFunc(fault.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("%q would be obeyed by a terminal", fault.Error())
				}
			}
		}
		again := Parse("f.yaml", []byte(text))
		if !reflect.DeepEqual(d, again) {
			t.Errorf("%+v\n%+v", d, again)
		}
		if err == nil && (d.Settings.AccessTTL <= 0 || d.Settings.RefreshTTL <= d.Settings.AccessTTL || d.Settings.MaxSockets < 0) {
			t.Errorf("no fault in %+v", d.Settings)
		}
	})
}

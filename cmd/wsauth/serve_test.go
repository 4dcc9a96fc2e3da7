package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPageHasEveryFlag checks that the page about the configuration has the
// variable and the key of every flag, and no other flags.
func TestPageHasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| `(WSAUTH_[A-Z_]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(page), -1) {
		documented[row[1]] = row[2] + " " + strings.Trim(row[3], "`")
	}
	want := map[string]string{"config": "WSAUTH_CONFIG the file itself"}
	for f := range reflect.TypeFor[serveCmd]().Fields() {
		name := f.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(f.Name, "$1-$2"))
		}
		if name == "config" {
			continue
		}
		over, ok := overrides[name]
		if !ok {
			t.Errorf("--%s is over no key", name)
		}
		want[name] = f.Tag.Get("env") + " " + over.key
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("(- flags, + docs/configuration.md):\n%s", diff)
	}
}

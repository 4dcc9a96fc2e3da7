package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestPagesHaveNoFault checks that each YAML block of the README and of the
// pages is a complete configuration. The files that it names need not exist.
func TestPagesHaveNoFault(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range []string{"../../README.md", "../../docs/configuration.md", "../../docs/operations.md"} {
		if len(yamlOf(t, page)) == 0 {
			t.Errorf("%s has none", page)
		}
	}
	for _, page := range append(pages, "../../README.md") {
		for _, text := range yamlOf(t, page) {
			for _, f := range faultsOf(t, text) {
				t.Errorf("%s: %s\n%s", page, f, text)
			}
			d := Parse("f.yaml", []byte(text))
			c, err := (&Maker{}).Make(d)
			if err != nil {
				continue // reported above
			}
			for _, warning := range append(d.Warnings(), d.RouteWarnings(c)...) {
				t.Errorf("%s: %s\n%s", page, warning, text)
			}
		}
	}
}

// yamlOf returns the YAML blocks of a page.
func yamlOf(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, found[1])
	}
	return all
}

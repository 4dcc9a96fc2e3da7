package web

import (
	"strings"
	"testing"
)

func TestParseCheck(t *testing.T) {
	for _, name := range []string{"required", "optional", "refresh", "fresh"} {
		if _, err := ParseCheck(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "none", "Required"} {
		if _, err := ParseCheck(name); err == nil || !strings.Contains(err.Error(), "-check") {
			t.Errorf("%q: got %v, want an error with %q", name, err, "-check")
		}
	}
}

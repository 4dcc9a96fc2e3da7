package config

import (
	"strings"
	"testing"
)

// TestUnreadable checks that input that would keep the parser busy for long is
// refused first, with its line.
func TestUnreadable(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"brackets":    {"a: 1\nb: " + strings.Repeat("[\n", maxDepth+1), "34: it is nested too deeply"},
		"braces":      {strings.Repeat("{a: ", 5000), "1: it is nested too deeply"},
		"dashes":      {"a:\n" + strings.Repeat("- ", 5000), "2: it is nested too deeply"},
		"length":      {"a: 1\n" + strings.Repeat("#\n", maxBytes/2), "1: the file is longer than 256 KiB"},
		"other bytes": {"a: 1\nb: \xff\n", "2: it is not UTF-8"},
		"scalar":      {"wsauth\n", "1: must be a mapping, such as {a: b}; found text"},
		"directive":   {"%YAML 1.2\n---\nlisten: 127.0.0.1:1\n", "1: directives are not needed: remove the line"},
		"key":         {"{a: b}: c\n", "1: invalid YAML: found an invalid key for this map"},
	} {
		if got := faultsOf(t, c.text); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null\n", "\ufefflisten: 127.0.0.1:1\n", "listen: 127.0.0.1:1\r\nmax_sockets: 5\r\n", "users:\n  \"\"\n"} {
		if got := faultsOf(t, text); got != nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

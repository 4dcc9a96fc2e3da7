package client_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names returns the matches of the first group of a pattern in a text.
func names(text, pattern string) map[string]bool {
	all := map[string]bool{}
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all[found[1]] = true
	}
	return all
}

// section returns the text of the README between two strings.
func section(t *testing.T, from, to string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "README.md"), from)
	text, _, ends := strings.Cut(text, to)
	if !found || !ends {
		t.Fatalf("README.md has no %q … %q", from, to)
	}
	return text
}

// TestReadmeCodes checks that the table of the README has every reason for
// which a guard closes a socket, at its code, and no other.
func TestReadmeCodes(t *testing.T) {
	documented := map[string]string{}
	for line := range strings.Lines(section(t, "| code | reasons | what it does | state |\n", "\n\n")) {
		cells := strings.Split(line, "|")
		codes := names(cells[1], `(\d{4})`)
		for reason := range names(cells[2], `(\w+_\w+|restarting|overloaded)`) {
			if !codes["1006"] && !strings.Contains(cells[1], "again") {
				documented[reason] = strings.Join(slices.Sorted(maps.Keys(codes)), " ")
			}
		}
	}
	for _, reason := range wsauth.Reasons() {
		code := strconv.Itoa(reason.Outcome().Code)
		switch reason {
		case wsauth.InvalidHandshake, wsauth.MethodNotAllowed, wsauth.VersionNotSupported:
			continue // no socket of this module is refused so
		}
		if !strings.Contains(documented[string(reason)], code) {
			t.Errorf("%s: the README has it at %q, not at %s", reason, documented[string(reason)], code)
		}
		delete(documented, string(reason))
	}
	if len(documented) > 0 {
		t.Errorf("no guard closes with %v", documented)
	}
}

// TestReadmeNames checks that the README names the methods, events, options and
// states that the module has, and no others.
func TestReadmeNames(t *testing.T) {
	socket, session := readFile(t, "wsauth.js"), readFile(t, "session.js")
	_, class, _ := strings.Cut(session, "export class Session")
	methods := names(class, `(?m)^  (?:async )?([a-z]\w*)\(`)
	delete(methods, "constructor")
	_, fires, _ := strings.Cut(socket, "It fires:\n")
	fires, _, _ = strings.Cut(fires, "*/")
	for what, have := range map[string][2]map[string]bool{
		"methods of a Session": {methods, names(strings.ReplaceAll(section(t, "The methods are ", "\n\n"), "its `subject`", ""), "`([a-z]\\w*)[`(]")},
		"events of a socket": {
			names(fires, `(?m)^ \* - (\w+)`),
			names(strings.ReplaceAll(section(t, "| event | members | when |\n|---|---|---|\n", "\n\n"), "`, `", ", "), "(?m)^\\| `(\\w+)"),
		},
		"options of a socket": {
			names(socket, `(?m)^ \* @property \{[^\n]*\}(?:\n \*  )? \[(protocols|binaryType|signal|welcome|stripPrefix|renew|advise)\]`),
			names(strings.ReplaceAll(section(t, "| option | |\n|---|---|\n", "\n\n"), "`protocols`, `binaryType`", "`protocols` |\n| `binaryType`"), "(?m)^\\| `(\\w+)"),
		},
		"states": {
			names(strings.ReplaceAll(readState(socket), `"|"`, "\" \""), `"(\w+)"`),
			names(section(t, "| `state` | `state`, `code`, `reason`, `advice`, `retryIn` (ms) |", " begins |"), "`(\\w+)`"),
		},
	} {
		if diff := cmp.Diff(have[0], have[1]); diff != "" {
			t.Errorf("%s (- module, + README):\n%s", what, diff)
		}
	}
}

// readState returns the type of a socket's state, as wsauth.js defines it.
func readState(socket string) string {
	return regexp.MustCompile(`@typedef \{(.*)\} State`).FindStringSubmatch(socket)[1]
}

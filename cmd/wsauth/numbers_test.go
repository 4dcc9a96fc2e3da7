package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"wsauth/internal/config"
	"wsauth/internal/gateway/tokens"
	"wsauth/store"
	"wsauth/token"
	"wsauth/token/keyring"
)

// TestDefaultsInHelp checks that the defaults in the help of "wsauth serve" are
// those of the configuration: without flags, it behaves as with an empty file.
func TestDefaultsInHelp(t *testing.T) {
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "WSAUTH_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	var all cli
	parser, err := kong.New(&all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Fatal(err)
	}
	want, got := config.Default(), config.Default()
	for _, over := range overrides {
		over.set(&all.Serve, &got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- file, + flags):\n%s", diff)
	}
	if _, err := parser.Parse([]string{"keys", "rotate"}); err != nil {
		t.Fatal(err)
	}
	if r := all.Keys.Rotate; r.Lead != keyring.DefaultLead || r.Overlap != keyring.DefaultOverlap {
		t.Errorf("keys rotate: --lead %v, --overlap %v", r.Lead, r.Overlap)
	}
	if all.Keys.Generate.Lead != keyring.DefaultLead {
		t.Errorf("keys generate: --lead %v", all.Keys.Generate.Lead)
	}
}

// TestBoundsInHelp checks that each bound in the help of "wsauth serve" is that
// of the key in docs/configuration.md, which another test checks.
func TestBoundsInHelp(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	atMost := regexp.MustCompile(`(?i)at most (\d\w*)`)
	found := 0
	for f := range reflect.TypeFor[serveCmd]().Fields() {
		bound := atMost.FindStringSubmatch(f.Tag.Get("help"))
		if bound == nil {
			continue
		}
		found++
		name := f.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(f.Name, "$1-$2"))
		}
		row := regexp.MustCompile("(?m)^\\| `" + overrides[name].key + "` \\|.*$").FindString(string(page))
		if own := atMost.FindStringSubmatch(row); own == nil || own[1] != bound[1] {
			t.Errorf("--%s: at most %s, and the page has %q", name, bound[1], row)
		}
	}
	if found < 3 {
		t.Errorf("only %d flags have a bound", found)
	}
}

// TestNumbersInHelp checks that the numbers in help texts are those of the
// program.
func TestNumbersInHelp(t *testing.T) {
	for file, sentences := range map[string][]string{
		"tokenrules.go": {fmt.Sprintf("at most 1m (default: none; %v for iat and nbf of a server's own tokens)", store.ClockStep)},
		"token.go":      {"Lifetime (default: 15m, or 720h for a refresh token)"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, sentence := range sentences {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), sentence) {
				t.Errorf("%s does not say %q", file, sentence)
			}
		}
	}
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	for kind, life := range map[string]time.Duration{"access": 15 * time.Minute, "refresh": 720 * time.Hour} {
		made, err := (&tokenIssueCmd{Sub: "robot", Type: kind}).issue(key, nil)
		if err != nil || made.Claims.ExpiresAt.Sub(made.Claims.IssuedAt) != life {
			t.Errorf("token issue --type=%s: %+v, %v", kind, made, err)
		}
	}
	if rules := new(tokens.Config).Own(); rules.IssuedLeeway != store.ClockStep {
		t.Errorf("iat and nbf may be ahead by %v", rules.IssuedLeeway)
	}
}

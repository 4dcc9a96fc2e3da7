package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"wsauth/token"
)

// refused marks a claim that no header can carry.
const refused = "\x00"

// TestG6_ListsInHeaders checks that an upstream reads the same list from a
// header as from the claim, or that the request is refused.
func TestG6_ListsInHeaders(t *testing.T) {
	list := func(all ...any) []any { return append([]any{}, all...) }
	for _, test := range []struct {
		claim       string
		value       any
		comma, json string
	}{
		{"x", list("staff", "admin"), "staff,admin", `["staff","admin"]`},
		{"x", list("staff"), "staff", `["staff"]`},
		{"x", list(), "", `[]`},
		{"x", list("staff,admin"), refused, `["staff,admin"]`},
		{"x", list("staff,admin", "ops"), refused, `["staff,admin","ops"]`},
		{"x", list("ops", ",admin"), refused, `["ops",",admin"]`},
		{"x", list(","), refused, `[","]`},
		{"x", list(`"staff`, `admin"`), refused, `["\"staff","admin\""]`},
		{"x", list(`a\b`), `a\b`, `["a\\b"]`},
		{"x", list(1, true, "1"), "1,true,1", `[1,true,"1"]`},
		{"x", list("Zoë", "😀", "a\u2028b"), "Zoë,😀,a\u2028b", `["Zo\u00eb","\ud83d\ude00","a\u2028b"]`},
		{"x", list(" admin "), refused, `[" admin "]`},
		{"x", list("a\r\nX-Admin: 1"), refused, refused},
		{"x", list("a\x7f"), refused, refused},
		{"x", list(list("a")), refused, refused},
		{"x", list(map[string]any{"a": 1}), refused, refused},
		{"x", list(nil), refused, refused},
		{"x", nil, refused, refused},
		{"x", "Doe, Jane", "Doe, Jane", "Doe, Jane"},
		{"x", `["admin"]`, `["admin"]`, refused},
		{"x", `[admin`, `[admin`, refused},
		{"x", 5, "5", "5"},
		{"x", true, "true", "true"},
		{"roles", "staff", "staff", `["staff"]`},
		{"roles", "staff,admin", refused, `["staff,admin"]`},
		{"roles", `["admin"]`, refused, `["[\"admin\"]"]`},
		{"Groups", "staff,admin", refused, `["staff,admin"]`},
		{"realm.roles", "staff,admin", refused, `["staff,admin"]`},
		{"cognito:groups", "staff,admin", refused, `["staff,admin"]`},
		{"https://app.example/roles", "staff,admin", refused, `["staff,admin"]`},
		{"scope", "read write", "read write", `["read","write"]`},
		{"scope", list("read", "write"), "read,write", `["read","write"]`},
		{"scope", list("read admin"), refused, `["read admin"]`},
		{"scp", list("read", "x admin"), refused, `["read","x admin"]`},
		{"scp", list("read\u2003admin"), refused, `["read\u2003admin"]`},
		{"x", list("a b"), "a b", `["a b"]`},
		{"scp", "read,admin write", refused, `["read,admin","write"]`},
		{"roles", 5, "5", "5"},
	} {
		claims := claimsWith(t, "ada", map[string]any{test.claim: test.value})
		for lists, want := range map[HeaderLists]string{"": test.comma, ListsByComma: test.comma, ListsAsJSON: test.json} {
			h := http.Header{}
			err := newIdentityHeaders(Route{Headers: map[string]string{"X-X": test.claim}, HeaderLists: lists}, nil).add(h, claims)
			got := h.Get("X-X")
			if err != nil {
				got = refused
			}
			if got != want {
				t.Errorf("%s: %#v as %q: %q, want %q; %v", test.claim, test.value, lists, got, want, err)
			}
			if lists == ListsAsJSON && strings.HasPrefix(got, "[") {
				wantItems(t, got, test.value)
			}
		}
	}
}

// wantItems checks that a header is a JSON array. If the claim is a list, the
// array must have as many entries.
func wantItems(t *testing.T, header string, claim any) {
	t.Helper()
	var items []any
	if err := json.Unmarshal([]byte(header), &items); err != nil {
		t.Errorf("got %q, which is not a JSON array: %v", header, err)
	}
	if list, ok := claim.([]any); ok && len(items) != len(list) {
		t.Errorf("%q: want the entries of %v", header, claim)
	}
}

// TestG6_TheNameOfAUserIsNoList checks that a subject may contain list
// separators.
func TestG6_TheNameOfAUserIsNoList(t *testing.T) {
	for _, lists := range []HeaderLists{ListsByComma, ListsAsJSON} {
		for _, name := range []string{"Doe, Jane", "[ada]"} {
			h := http.Header{}
			if err := newIdentityHeaders(Route{Headers: map[string]string{"X-User": "sub"}, HeaderLists: lists}, nil).add(h, claimsWith(t, name, nil)); err != nil || h.Get("X-User") != name {
				t.Errorf("%s: %q is written as %q, %v, want it unchanged", lists, name, h.Get("X-User"), err)
			}
		}
	}
}

// TestG6_MappedRolesAreAList checks that the roles and scopes that a profile
// has found are treated as lists: an entry with a comma is refused.
func TestG6_MappedRolesAreAList(t *testing.T) {
	claims := &token.Claims{Subject: "ada", Roles: []string{"staff,admin"}, Scopes: []string{"a,b"}}
	for _, claim := range []string{"roles", "scope"} {
		h := http.Header{}
		if err := newIdentityHeaders(Route{Headers: map[string]string{"X-X": claim}}, nil).add(h, claims); err == nil {
			t.Errorf("%s is written as %q, want an error", claim, h.Get("X-X"))
		}
	}
}

func TestHeaderListsFault(t *testing.T) {
	_, err := Route{Path: "/", Upstreams: []string{"http://h:1"}, HeaderLists: "lines"}.withDefaults()
	if err == nil || !strings.Contains(err.Error(), "HeaderLists") {
		t.Error(err)
	}
}

// FuzzJSONArray checks that the output is printable ASCII and decodes to the
// same texts.
func FuzzJSONArray(f *testing.F) {
	for _, text := range []string{"staff,admin", `a"b\c`, "Zoë 😀", "a\nb", "\xff", "\u2028", ""} {
		f.Add(text, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		array, err := jsonArray(itemsOf([]string{a, b}))
		if err != nil {
			return
		}
		var texts []string
		if err := json.Unmarshal([]byte(array), &texts); err != nil || !slices.Equal(texts, []string{a, b}) {
			t.Errorf("%q: got %q, %v, want %q", array, texts, err, []string{a, b})
		}
		if strings.ContainsFunc(array, func(r rune) bool { return r < ' ' || r > '~' }) || !utf8.ValidString(array) {
			t.Errorf("got %q, want printable ASCII", array)
		}
	})
}

package gateway

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth/internal/adminapi"
)

var inBackticks = regexp.MustCompile("`([^`]+)`")

// members are the names of the members of a type's JSON.
func members(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestAdminPage checks that the page about the API documents every path with
// its query and every member of its answers, and nothing else.
func TestAdminPage(t *testing.T) {
	page, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		words := func(cell string) (all []string) {
			for _, w := range inBackticks.FindAllStringSubmatch(cell, -1) {
				all = append(all, w[1])
			}
			return all
		}
		switch {
		case len(cells) == 4 && strings.Contains(cells[1], "`/v1/"):
			path := strings.TrimSpace(cells[0]) + " " + words(cells[1])[0]
			documented[path], documented[path+" answer"] = words(cells[2]), words(cells[3])
		case len(cells) == 2 && strings.HasPrefix(cells[0], " `"):
			documented[strings.Trim(cells[0], " `")] = words(cells[1])
		}
	}
	want := map[string][]string{
		"GET /v1/status":                 nil,
		"GET /v1/status answer":          members(reflect.TypeFor[adminapi.Status]()),
		"GET /v1/sockets":                {"user", "session", "token", "limit", "after"},
		"GET /v1/sockets answer":         members(reflect.TypeFor[adminapi.Sockets]()),
		"GET /v1/sessions":               {"user", "limit", "after"},
		"GET /v1/sessions answer":        members(reflect.TypeFor[adminapi.Sessions]()),
		"GET /v1/sessions/stored":        {"user"},
		"GET /v1/sessions/stored answer": members(reflect.TypeFor[adminapi.StoredSessions]()),
		"POST /v1/drain":                 members(reflect.TypeFor[adminapi.Drain]()),
		"POST /v1/drain answer":          members(reflect.TypeFor[adminapi.Draining]()),
		"POST /v1/reload":                members(reflect.TypeFor[adminapi.Reload]()),
		"POST /v1/reload answer":         members(reflect.TypeFor[adminapi.Reloaded]()),
		"POST /v1/revoke":                members(reflect.TypeFor[adminapi.Revoke]()),
		"POST /v1/revoke answer":         members(reflect.TypeFor[adminapi.Revoked]()),

		"revocations":         members(reflect.TypeFor[adminapi.Revocations]()),
		"open":                members(reflect.TypeFor[adminapi.Open]()),
		"routes":              append(members(reflect.TypeFor[adminapi.Route]()), members(reflect.TypeFor[adminapi.Upstream]())...),
		"sockets` of a list":  members(reflect.TypeFor[adminapi.Socket]()),
		"sessions` of a list": members(reflect.TypeFor[adminapi.Session]()),
		"sessions` stored":    members(reflect.TypeFor[adminapi.StoredSession]()),
	}
	for key := range documented {
		if strings.HasPrefix(key, "admin.") { // the keys of the configuration have a test of their own
			delete(documented, key)
		}
	}
	for _, all := range []map[string][]string{documented, want} {
		for _, names := range all {
			slices.Sort(names)
		}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("(- code, + docs/admin.md):\n%s", diff)
	}
	served := map[string]bool{}
	for _, e := range new(admin).endpoints() {
		served[e.method+" "+e.path] = true
	}
	for path := range want {
		if strings.Contains(path, "/v1/") && !strings.HasSuffix(path, " answer") && !served[path] {
			t.Errorf("%s is not served", path)
		}
		delete(served, path)
	}
	for path := range served {
		t.Errorf("%s is not in docs/admin.md", path)
	}
}

package admin

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth/internal/adminapi"
)

var inBackticks = regexp.MustCompile("`([^`]+)`")

// membersOf returns the names of the members of a type's JSON.
func membersOf(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestPage checks that docs/admin.md documents every path with its query and
// every member of its answers, and nothing else.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/admin.md")
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
		"GET /v1/nodes":                  nil,
		"GET /v1/nodes answer":           membersOf(reflect.TypeFor[adminapi.Nodes]()),
		"GET /v1/status":                 nil,
		"GET /v1/status answer":          membersOf(reflect.TypeFor[adminapi.Status]()),
		"GET /v1/sockets":                {"user", "session", "token", "limit", "after"},
		"GET /v1/sockets answer":         membersOf(reflect.TypeFor[adminapi.Sockets]()),
		"GET /v1/sessions":               {"user", "limit", "after"},
		"GET /v1/sessions answer":        membersOf(reflect.TypeFor[adminapi.Sessions]()),
		"GET /v1/sessions/stored":        {"user"},
		"GET /v1/sessions/stored answer": membersOf(reflect.TypeFor[adminapi.StoredSessions]()),
		"POST /v1/drain":                 membersOf(reflect.TypeFor[adminapi.Drain]()),
		"POST /v1/drain answer":          membersOf(reflect.TypeFor[adminapi.Draining]()),
		"POST /v1/reload":                membersOf(reflect.TypeFor[adminapi.Reload]()),
		"POST /v1/reload answer":         membersOf(reflect.TypeFor[adminapi.Reloaded]()),
		"POST /v1/revoke":                membersOf(reflect.TypeFor[adminapi.Revoke]()),
		"POST /v1/revoke answer":         membersOf(reflect.TypeFor[adminapi.Revoked]()),

		"nodes":               membersOf(reflect.TypeFor[adminapi.Node]()),
		"revocations":         membersOf(reflect.TypeFor[adminapi.Revocations]()),
		"open":                membersOf(reflect.TypeFor[adminapi.Open]()),
		"routes":              append(membersOf(reflect.TypeFor[adminapi.Route]()), membersOf(reflect.TypeFor[adminapi.Upstream]())...),
		"sockets` of a list":  membersOf(reflect.TypeFor[adminapi.Socket]()),
		"sessions` of a list": membersOf(reflect.TypeFor[adminapi.Session]()),
		"sessions` stored":    membersOf(reflect.TypeFor[adminapi.StoredSession]()),
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
	for _, e := range new(API).endpoints() {
		served[e.Method+" "+e.Path] = true
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

// TestPageLimits checks that docs/admin.md states the limits.
func TestPageLimits(t *testing.T) {
	text, err := os.ReadFile("../../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	for _, sentence := range []string{
		fmt.Sprintf("A list has %d entries unless `limit` says otherwise, %d at most", defaultPage, maxPage),
		fmt.Sprintf("must be at least %d characters long", adminapi.MinToken),
		fmt.Sprintf("`within`, seconds from 1 to %d", maxDrain/time.Second),
		fmt.Sprintf("after %s from one address, one attempt per %.0f s is checked", map[int]string{10: "ten"}[maxTries], tryEvery.Seconds()),
	} {
		if !strings.Contains(page, sentence) {
			t.Errorf("docs/admin.md does not say %q", sentence)
		}
	}
}

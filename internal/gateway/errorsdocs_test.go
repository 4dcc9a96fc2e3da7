package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/wsframe"
)

// statusNames maps the names of statuses in net/http to their numbers.
var statusNames = map[string]int{
	"StatusBadRequest": http.StatusBadRequest, "StatusForbidden": http.StatusForbidden, "StatusInternalServerError": http.StatusInternalServerError,
	"StatusGatewayTimeout": http.StatusGatewayTimeout, "StatusLoopDetected": http.StatusLoopDetected, "StatusMethodNotAllowed": http.StatusMethodNotAllowed,
	"StatusRequestEntityTooLarge": http.StatusRequestEntityTooLarge, "StatusRequestTimeout": http.StatusRequestTimeout,
	"StatusServiceUnavailable": http.StatusServiceUnavailable, "StatusTooManyRequests": http.StatusTooManyRequests,
	"StatusUnauthorized": http.StatusUnauthorized, "StatusUnprocessableEntity": http.StatusUnprocessableEntity,
	"StatusUnsupportedMediaType": http.StatusUnsupportedMediaType, "StatusUpgradeRequired": http.StatusUpgradeRequired,
}

// TestErrorsPage checks that docs/errors.md lists exactly the reasons that only
// the gateway and the login service answer with, each with its status.
func TestErrorsPage(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.go", "*/*.go", "../../login/*.go", "../problem/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, found...)
	}
	answer := regexp.MustCompile(`(?:telemetry\.Problem\(|problem\(w, r, |failBody\(r, |Status: |refuse\((?:w, r, )?)(?:http\.(Status\w+),\s+)?(?:Detail: [^\n]*\s*Reason: )?"(\w+)"`)
	// Reasons that are not literals in the call, by file.
	others := map[string][]string{
		"serve.go":      {"`overloaded` 503"},
		"operations.go": {"`restarting` 503", "`store_unavailable` 503"},
		"plain.go":      {""}, // failBody itself
	}
	unnamed := regexp.MustCompile(`\b(?:telemetry\.Problem\(|problem\(w, r, )[^h)]`)
	answers := map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		if calls := unnamed.FindAllString(string(text), -1); len(calls) > 0 && others[name] == nil {
			t.Errorf("%s: %q: this test does not know its reason", name, calls)
		}
		for _, row := range others[name] {
			if row != "" {
				answers[row] = true
			}
		}
		for _, found := range answer.FindAllStringSubmatch(string(text), -1) {
			status := statusNames[found[1]]
			if status == 0 {
				t.Errorf("%s: %s is not known to this test", name, found[1])
			}
			answers[fmt.Sprintf("`%s` %d", found[2], status)] = true
		}
	}
	compareWithErrorsPage(t, "| reason | HTTP | when |", answers)
	faults := map[string]bool{}
	for _, name := range []string{"checker.go", "message.go"} {
		text, err := os.ReadFile("../wsframe/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`&Fault\{(\d+), "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			faults[fmt.Sprintf("`%s` %s", found[2], found[1])] = true
		}
	}
	if f := wsframe.ProtocolError; !faults[fmt.Sprintf("`%s` %d", f.Reason, f.Code)] {
		t.Fatalf("no faults found: %v", faults)
	}
	compareWithErrorsPage(t, "| reason | close | when |", faults)
}

// compareWithErrorsPage compares the first two columns of a table.
func compareWithErrorsPage(t *testing.T, head string, want map[string]bool) {
	t.Helper()
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), head+"\n")
	if !found {
		t.Fatalf("the page has no table %q", head)
	}
	var rows []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		if row := strings.TrimSpace(cells[1]) + " " + strings.TrimSpace(cells[2]); !strings.HasPrefix(row, "-") {
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		if !want[row] {
			t.Errorf("the page has %s, which is never answered", row)
		}
	}
	for row := range want {
		if !slices.Contains(rows, row) {
			t.Errorf("the page lacks %s", row)
		}
	}
}

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

// statusNames are those of net/http that this package answers with.
var statusNames = map[string]int{
	"StatusBadRequest": http.StatusBadRequest, "StatusForbidden": http.StatusForbidden, "StatusInternalServerError": http.StatusInternalServerError,
	"StatusLoopDetected": http.StatusLoopDetected, "StatusMethodNotAllowed": http.StatusMethodNotAllowed,
	"StatusRequestEntityTooLarge": http.StatusRequestEntityTooLarge, "StatusRequestTimeout": http.StatusRequestTimeout,
	"StatusServiceUnavailable": http.StatusServiceUnavailable, "StatusTooManyRequests": http.StatusTooManyRequests,
	"StatusUnauthorized": http.StatusUnauthorized, "StatusUnprocessableEntity": http.StatusUnprocessableEntity,
	"StatusUnsupportedMediaType": http.StatusUnsupportedMediaType, "StatusUpgradeRequired": http.StatusUpgradeRequired,
}

// TestErrorsPage: docs/errors.md has every reason that this package answers
// with by itself, with its status, and no other.
func TestErrorsPage(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	answer := regexp.MustCompile(`problem\(http\.(Status\w+), "(\w+)"`)
	answers := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range answer.FindAllStringSubmatch(string(text), -1) {
			status := statusNames[found[1]]
			if status == 0 {
				t.Errorf("%s: %s is not known to this test", name, found[1])
			}
			answers[fmt.Sprintf("`%s` %d", found[2], status)] = true
		}
	}
	holdAgainstErrorsPage(t, "| reason | HTTP | when |", answers)
	holdAgainstErrorsPage(t, "| reason | close | when |", map[string]bool{
		ended(wsframe.ProtocolError): true, ended(wsframe.TooManyFragments): true, ended(wsframe.TooManyControls): true,
		ended(wsframe.FrameTooBig): true, ended(wsframe.MessageTooBig): true,
	})
}

// ended is the row of the page for a fault of a client.
func ended(f *wsframe.Fault) string { return fmt.Sprintf("`%s` %d", f.Reason, f.Code) }

// holdAgainstErrorsPage compares the first two columns of a table.
func holdAgainstErrorsPage(t *testing.T, head string, want map[string]bool) {
	t.Helper()
	page, err := os.ReadFile("../docs/errors.md")
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

package wsauth_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"wsauth"
)

// TestReadmeCosts: the targets in the README are those of bench.
func TestReadmeCosts(t *testing.T) {
	rows := tableRows(readDoc(t, "README.md"), "| | at most |")
	targets := []struct{ file, function, row string }{
		{"bench/figures.go", "handshake", "CPU of a guarded handshake"},
		{"bench/figures.go", "memory", "memory of an idle guarded socket"},
		{"bench/session.go", "session", "what the guard itself holds of a socket"},
		{"bench/figures.go", "expiry", "from the expiry of a token to the close frame"},
		{"bench/revoke.go", "revokeEach", "from a logout to the close frame"},
		{"bench/revoke.go", "revokeAll", "from a logout everywhere to the last"},
	}
	if len(rows) != len(targets) {
		t.Fatalf("%d rows, and %d targets", len(rows), len(targets))
	}
	units := map[string]float64{"": 1, "KiB": 1024, "s": 1, "ms": 0.001}
	for i, target := range targets {
		function := readDoc(t, target.file)
		if at := regexp.MustCompile(`(?m)^func (?:\(.*\) )?` + target.function + `\(`).FindStringIndex(function); at != nil {
			function = function[at[1]:]
		}
		found := regexp.MustCompile(`\bconst (?:.* )?target = (?:[\d_.]+, )*?([\d_.]+)(?: // seconds)?\n`).FindStringSubmatch(function)
		if found == nil {
			t.Fatalf("%s has no target", target.function)
		}
		want, err := strconv.ParseFloat(strings.ReplaceAll(found[1], "_", ""), 64)
		if err != nil {
			t.Fatal(err)
		}
		number, unit, _ := strings.Cut(rows[i][2], " ")
		got, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rows[i][1], target.row) || got*units[unit] != want {
			t.Errorf("%q: the README says %s, bench %v", rows[i][1], rows[i][2], want)
		}
	}
}

// TestEndsInPages: where pages show a close code and a reason, the code is
// that of the reason; where they show a status and a reason, so is the status.
func TestEndsInPages(t *testing.T) {
	shown := regexp.MustCompile("\\b([1-5]\\d{2,3}) `([a-z]+_[a-z_]+|restarting|overloaded)`")
	known := map[string]bool{}
	for _, reason := range wsauth.Reasons() {
		known[string(reason)] = true
	}
	// Answers of the gateway that no guard gives with this status.
	own := map[string]bool{"426 invalid_handshake": true, "413 invalid_request": true, "415 invalid_request": true, "422 invalid_request": true,
		"503 session_ended": true, "403 wrong_token_type": true}
	found := 0
	for _, page := range pages(t) {
		for _, end := range shown.FindAllStringSubmatch(readDoc(t, page), -1) {
			if !known[end[2]] || own[end[1]+" "+end[2]] {
				continue
			}
			found++
			outcome := wsauth.Reason(end[2]).Outcome()
			if want := fmt.Sprint(outcome.Code, " ", outcome.Status); !strings.Contains(want, end[1]) {
				t.Errorf("%s: %q: it is %s", page, end[0], want)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d found", found)
	}
}

// TestFilesInPackageDocs: the lists of files in the documentation of the
// packages name files that are there.
func TestFilesInPackageDocs(t *testing.T) {
	for _, dir := range []string{".", "gateway"} {
		names := regexp.MustCompile(`\b([a-z]+(?:_linux)?\.go)\b`).FindAllString(readDoc(t, dir+"/doc.go"), -1)
		if len(names) < 20 {
			t.Errorf("%s: only %d files", dir, len(names))
		}
		for _, name := range names {
			if _, err := os.Stat(dir + "/" + name); err != nil {
				t.Error(err)
			}
		}
	}
}

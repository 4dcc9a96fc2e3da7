package wsauth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsauth"
)

// TestReadmeCosts checks that the targets in the README are those of bench.
func TestReadmeCosts(t *testing.T) {
	rows := tableRows(readDoc(t, "README.md"), "| | at most |")
	targets := []struct{ file, function, row string }{
		{"bench/figures.go", "handshake", "CPU of a guarded handshake"},
		{"bench/figures.go", "socketMemory", "memory of an idle guarded socket"},
		{"bench/session.go", "session", "memory of the guard itself for a socket"},
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

// TestNumbersOfPrograms checks that the numbers that pages give for an example
// or for bench are in its source.
func TestNumbersOfPrograms(t *testing.T) {
	for _, c := range []struct{ page, sentence, file, code string }{
		{"examples/echo/main.go", "after a minute: wsauth: socket ended: token_expired", "examples/echo/main.go", "AccessTTL: time.Minute}"},
		{"README.md", "a header that is valid for a minute", "examples/echo/main.go", "AccessTTL: time.Minute}"},
		{"README.md", "`go run ./bench soak` holds 8,100 sockets over ten minutes", "bench/soak.go", "soakSockets = 8100\n"},
		{"README.md", "sockets over ten minutes", "bench/soak.go", "sockets, duration := soakSockets, 10*time.Minute"},
		{"docs/identity-providers.md", "It closes when the token expires, in five minutes", "examples/provider/main.go", "AccessTTL: 5 * time.Minute}"},
		{"docs/sessions.md", "With 10,000 open sockets, 99 % of the clients have read the close frame within 50 ms", "bench/revoke.go", "const alone, target = 1_000, 0.050 // seconds"},
		{"docs/sessions.md", "If all 10,000 sockets belong to one user, the last client has read it within 500 ms", "bench/revoke.go", "const target = 0.500 // seconds"},
	} {
		if !strings.Contains(strings.Join(strings.Fields(readDoc(t, c.page)), " "), c.sentence) {
			t.Errorf("%s does not say %q", c.page, c.sentence)
		}
		if !strings.Contains(readDoc(t, c.file), c.code) {
			t.Errorf("%s: %q: %s has no %q", c.page, c.sentence, c.file, c.code)
		}
	}
}

// TestEndsInPages checks that the close codes and statuses that pages show with
// a reason are those of the reason.
func TestEndsInPages(t *testing.T) {
	shown := regexp.MustCompile("\\b([1-5]\\d{2,3}) `([a-z]+_[a-z_]+|restarting|overloaded)`")
	known := map[string]bool{}
	for _, reason := range wsauth.Reasons() {
		known[string(reason)] = true
	}
	// Responses of the gateway that no guard sends with this status.
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

// TestFilesInPackageDocs checks that the files listed in the documentation of
// packages exist.
func TestFilesInPackageDocs(t *testing.T) {
	for dir, least := range map[string]int{".": 20, "internal/gateway": 5, "internal/gateway/proxy": 15} {
		names := regexp.MustCompile(`\b([a-z]+(?:_linux)?\.go)\b`).FindAllString(readDoc(t, dir+"/doc.go"), -1)
		if len(names) < least {
			t.Errorf("%s: only %d files", dir, len(names))
		}
		for _, name := range names {
			if _, err := os.Stat(dir + "/" + name); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestExamplesPage checks that the page about the examples has each program
// with its default address, its flags, and the functions to look at.
func TestExamplesPage(t *testing.T) {
	page := readDoc(t, "examples/README.md")
	listed := map[string]bool{}
	for _, row := range tableRows(page, "| program | what it shows |") {
		listed[regexp.MustCompile(`\[(\w+)\]`).FindStringSubmatch(row[1])[1]] = true
	}
	programs, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(programs) != len(listed) {
		t.Errorf("%d programs, and %d in the page (%v)", len(programs), len(listed), err)
	}
	flags := map[string]map[string]bool{}
	for _, name := range programs {
		program, source := filepath.Base(filepath.Dir(name)), readDoc(t, name)
		flags[program] = map[string]bool{}
		for _, f := range regexp.MustCompile(`= flag\.\w+\("([\w-]+)", `).FindAllStringSubmatch(source, -1) {
			flags[program][f[1]] = true
		}
		if !listed[program] || !flags[program]["addr"] || !strings.Contains(source, "flag.Parse()") {
			t.Errorf("%s: listed: %v, flags: %v", program, listed[program], flags[program])
		}
		if at := regexp.MustCompile(`go run \./examples/` + program + ` +# http://([\d.:]+)`).FindStringSubmatch(page); at != nil &&
			!strings.Contains(source, `flag.String("addr", "`+at[1]+`"`) {
			t.Errorf("%s does not listen on %s", program, at[1])
		}
	}
	for program, has := range map[string]string{"query": "check", "cookie": "check csrf"} {
		for flag := range strings.FieldsSeq(has) {
			if !strings.Contains(page, "`-"+flag) && !strings.Contains(page, " -"+flag) || !flags[program][flag] {
				t.Errorf("%s: -%s: %v", program, flag, flags[program])
			}
		}
	}
	for function, file := range map[string]string{
		"newRoutes": "query/main.go", "Tokens": "web/socket.go", "Socket": "web/socket.go", "nextCoder": "firstmessage/coder.go", "nextGorilla": "firstmessage/gorilla.go", "ticket": "tickets/main.go", "logout": "tickets/main.go",
	} {
		if !strings.Contains(page, "`"+function+"`") || !regexp.MustCompile(`func (?:\([^)]*\) )?`+function+`\(`).MatchString(readDoc(t, "examples/"+file)) {
			t.Errorf("%s is not in the page, or not in %s", function, file)
		}
	}
}

// TestContributingSteps checks that CONTRIBUTING.md has the steps of .ci/run
// in their order.
func TestContributingSteps(t *testing.T) {
	var listed []string
	for _, row := range tableRows(readDoc(t, "CONTRIBUTING.md"), "| step | what it does |") {
		listed = append(listed, strings.Trim(row[1], "`"))
	}
	steps := regexp.MustCompile(`(?m)^readonly steps=\((.*)\)$`).FindStringSubmatch(readDoc(t, ".ci/run"))
	if steps == nil || !slices.Equal(listed, strings.Fields(steps[1])) {
		t.Errorf("CONTRIBUTING.md lists %q, .ci/run has %q", listed, steps)
	}
}

// TestFilesInArchitecture checks that the files and folders that
// ARCHITECTURE.md names exist.
func TestFilesInArchitecture(t *testing.T) {
	names := regexp.MustCompile("`([a-z]+(?:/[a-z.]+)+|[a-z]+\\.go)`").FindAllStringSubmatch(readDoc(t, "ARCHITECTURE.md"), -1)
	for _, name := range names {
		if _, err := os.Stat(name[1]); err != nil {
			t.Error(err)
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d names", len(names))
	}
}

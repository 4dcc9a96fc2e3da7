package demo

import (
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/staticfile"
)

var (
	inline   = regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\s(on[a-z]+|style)=|="javascript:`)
	external = regexp.MustCompile(`(?i)(?:src|href|url|from|import)\s*[=(]?\s*["']?(?:https?:)?//`)
	idOf     = regexp.MustCompile(`\sid="([^"]+)"`)
	byID     = regexp.MustCompile(`\$\("([a-z-]+)"\)`)
	imported = regexp.MustCompile(`from "\./([a-z]+\.js)"`)
	loaded   = regexp.MustCompile(`(?:src|href)="/assets/([^"]+)"`)
)

func TestPagesKeepTheirPolicy(t *testing.T) {
	for name, f := range mustLoad(t) {
		text := f.String()
		if strings.HasSuffix(name, ".html") && inline.MatchString(text) {
			t.Errorf("%s has an inline script or style: %q", name, inline.FindString(text))
		}
		if external.MatchString(text) {
			t.Errorf("%s loads from elsewhere: %q", name, external.FindString(text))
		}
		if strings.Contains(text, "innerHTML") || strings.Contains(text, "eval(") {
			t.Errorf("%s makes markup or code from strings", name)
		}
	}
}

func TestPagesAndScriptsFitTogether(t *testing.T) {
	files := mustLoad(t)
	for page, scripts := range map[string][]string{
		"index.html": {"app.js", "socket.js", "stepup.js"},
		"docs.html":  {"docs.js"},
	} {
		text := files[page].String()
		var ids []string
		for _, m := range idOf.FindAllStringSubmatch(text, -1) {
			if slices.Contains(ids, m[1]) {
				t.Errorf("%s has the id %s twice", page, m[1])
			}
			ids = append(ids, m[1])
		}
		found := 0
		for _, script := range scripts {
			for _, m := range byID.FindAllStringSubmatch(files[script].String(), -1) {
				found++
				if !slices.Contains(ids, m[1]) {
					t.Errorf("%s uses the id %s, which %s lacks", script, m[1], page)
				}
			}
		}
		if found == 0 {
			t.Errorf("no id found in the scripts of %s", page)
		}
		loads := loaded.FindAllStringSubmatch(text, -1)
		if len(loads) < 2 {
			t.Errorf("%s loads %q, want a script and a style", page, loads)
		}
		for _, m := range loads {
			if _, ok := files[m[1]]; !ok {
				t.Errorf("%s loads %s, which does not exist", page, m[1])
			}
		}
	}
	imports := 0
	for name, f := range files {
		for _, m := range imported.FindAllStringSubmatch(f.String(), -1) {
			imports++
			if _, ok := files[path.Join(path.Dir(name), m[1])]; !ok {
				t.Errorf("%s imports %s, which does not exist", name, m[1])
			}
		}
	}
	if imports == 0 {
		t.Error("no import found")
	}
}

// TestPageExplainsEveryReason checks that the page has a text for each reason
// with which the guard may end a socket.
func TestPageExplainsEveryReason(t *testing.T) {
	text := mustLoad(t)["closecodes.js"].String()
	for _, reason := range wsauth.Reasons() {
		outcome := reason.Outcome()
		byReason := regexp.MustCompile(`(?m)^  ` + string(reason) + `: \{$`).MatchString(text)
		byCode := regexp.MustCompile(`(?m)^  ` + strconv.Itoa(outcome.Code) + `: \{$`).MatchString(text)
		if outcome.Code >= 3000 && !byReason && !neverOnASocket[reason] {
			t.Errorf("closecodes.js does not explain the reason %s", reason)
		}
		if !byCode {
			t.Errorf("closecodes.js does not explain the code %d of %s", outcome.Code, reason)
		}
	}
}

// TestPageExplainsNothingElse checks that the page has no text for reasons that
// never end a socket.
func TestPageExplainsNothingElse(t *testing.T) {
	text := mustLoad(t)["closecodes.js"].String()
	known := map[string]bool{
		"1000": true, "1001": true, "1006": true, // codes of RFC 6455, without a reason of ours
		"unreachable": true, "no_welcome": true, "no_answer": true, "slept": true, "other_user": true, // reasons of the page itself
	}
	for _, reason := range wsauth.Reasons() {
		code := reason.Outcome().Code
		known[strconv.Itoa(code)] = true
		known[string(reason)] = code >= 3000 && !neverOnASocket[reason]
	}
	found := regexp.MustCompile(`(?m)^  ([a-z_]+|[0-9]+): \{$`).FindAllStringSubmatch(text, -1)
	if len(found) < len(wsauth.Reasons()) {
		t.Fatalf("only %d explanations found", len(found))
	}
	for _, m := range found {
		if !known[m[1]] {
			t.Errorf("closecodes.js explains %s, which never happens", m[1])
		}
	}
}

// neverOnASocket lists the reasons for which a guard answers in HTTP even if it
// refuses by close codes.
var neverOnASocket = map[wsauth.Reason]bool{
	wsauth.InvalidHandshake:    true,
	wsauth.MethodNotAllowed:    true,
	wsauth.VersionNotSupported: true,
}

func mustLoad(t *testing.T) staticfile.Files {
	t.Helper()
	files, err := loadFiles()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAuthenticate(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		want           bool
	}{{"test", "test", true}, {"test", "", false}, {"", "test", false}, {"test", "Test", false}, {"tes", "ttest", false}} {
		if got, err := (Users{}).Authenticate(t.Context(), tt.name, tt.password); got != tt.want || err != nil {
			t.Errorf("%q, %q: got %v, %v, want %v", tt.name, tt.password, got, err, tt.want)
		}
	}
}

// TestUnannounced checks that the server serves only announced handshakes.
func TestUnannounced(t *testing.T) {
	s := Start()
	defer s.Close()
	name, value := s.Announce(t.Context())
	if s.take(value) == nil || s.take(value) != nil {
		t.Error("an announced handshake is not taken once")
	}
	for _, value := range []string{"", value} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%q: status %d", value, w.Code)
		}
	}
}

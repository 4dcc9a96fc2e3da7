package gateway

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsauth"
)

func TestAssetsAreCachedByContent(t *testing.T) {
	r := start(t)
	for path, contentType := range map[string]string{
		"/":                      "text/html; charset=utf-8",
		"/docs":                  "text/html; charset=utf-8",
		"/openapi.json":          "application/json",
		"/assets/app.js":         "text/javascript; charset=utf-8",
		"/assets/style.css":      "text/css; charset=utf-8",
		"/assets/icon.svg":       "image/svg+xml",
		"/auth/client/wsauth.js": "text/javascript; charset=utf-8",
	} {
		e := r.call("GET", path, "")
		etag := e.Header.Get("ETag")
		if e.StatusCode != http.StatusOK || e.body == "" || e.Header.Get("Content-Type") != contentType || etag == "" || e.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, e.StatusCode, e.Header)
		}
		if again := r.call("GET", path, "", "If-None-Match: "+etag); again.StatusCode != http.StatusNotModified || again.body != "" {
			t.Errorf("%s again: %d", path, again.StatusCode)
		}
	}
}

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
		text := string(f.body)
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
		text := string(files[page].body)
		var ids []string
		for _, m := range idOf.FindAllStringSubmatch(text, -1) {
			if slices.Contains(ids, m[1]) {
				t.Errorf("%s has the id %s twice", page, m[1])
			}
			ids = append(ids, m[1])
		}
		found := 0
		for _, script := range scripts {
			for _, m := range byID.FindAllStringSubmatch(string(files[script].body), -1) {
				found++
				if !slices.Contains(ids, m[1]) {
					t.Errorf("%s wants the id %s, which %s has not", script, m[1], page)
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
				t.Errorf("%s loads %s, which is not there", page, m[1])
			}
		}
	}
	imports := 0
	for name, f := range files {
		for _, m := range imported.FindAllStringSubmatch(string(f.body), -1) {
			imports++
			if _, ok := files[path.Join(path.Dir(name), m[1])]; !ok {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
	if imports == 0 {
		t.Error("no import found")
	}
}

// Whatever the guard may end a socket with, the page has words for it.
func TestPageExplainsEveryReason(t *testing.T) {
	text := string(mustLoad(t)["closecodes.js"].body)
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

// And it has no words for what never comes.
func TestPageExplainsNothingElse(t *testing.T) {
	text := string(mustLoad(t)["closecodes.js"].body)
	known := map[string]bool{
		"1000": true, "1001": true, "1006": true, // of RFC 6455, without a reason of ours
		"unreachable": true, "no_welcome": true, "no_answer": true, "slept": true, "other_user": true, // of the client
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
			t.Errorf("closecodes.js explains %s, which never comes", m[1])
		}
	}
}

// neverOnASocket are the reasons for which a guard answers in HTTP even if it
// refuses by close codes.
var neverOnASocket = map[wsauth.Reason]bool{
	wsauth.InvalidHandshake:    true,
	wsauth.MethodNotAllowed:    true,
	wsauth.VersionNotSupported: true,
}

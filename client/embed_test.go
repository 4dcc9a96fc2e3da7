package client_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsauth"
	"wsauth/client"
)

func get(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	http.StripPrefix("/client", client.Handler()).ServeHTTP(w, r)
	return w
}

// TestHandlerServesTheModules checks that every module of this folder is
// embedded and served, and that nothing else is.
func TestHandlerServesTheModules(t *testing.T) {
	modules, err := filepath.Glob("*.js")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(modules, "wsauth.js") {
		t.Fatalf("the modules are %q", modules)
	}
	for _, name := range modules {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		w := get("/client/" + name)
		etag := w.Header().Get("ETag")
		if w.Code != http.StatusOK || w.Body.String() != string(want) || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" || etag == "" {
			t.Errorf("%s: got %d %v", name, w.Code, w.Header())
		}
		if again := get("/client/"+name, "If-None-Match", etag); again.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", name, again.Code)
		}
	}
	for _, name := range []string{"", "package.json", "embed.go", "README.md", "test/fake.js"} {
		if w := get("/client/" + name); w.Code != http.StatusNotFound {
			t.Errorf("/client/%s: %d", name, w.Code)
		}
	}
}

// TestModulesImportEachOther checks that every imported module is embedded. A
// missing one would break every page.
func TestModulesImportEachOther(t *testing.T) {
	found := 0
	err := fs.WalkDir(client.Files(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := fs.ReadFile(client.Files(), name)
		for _, m := range regexp.MustCompile(`(?:from|import)\s*\(?"([^"]*)"`).FindAllStringSubmatch(string(body), -1) {
			found++
			if _, missing := fs.Stat(client.Files(), strings.TrimPrefix(m[1], "./")); missing != nil {
				t.Errorf("%s imports %s: %v", name, m[1], missing)
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("%d imports: %v", found, err)
	}
}

// TestAdviceIsTheGuards checks that the client's advice for each close code is
// the guard's.
func TestAdviceIsTheGuards(t *testing.T) {
	table, err := fs.ReadFile(client.Files(), "advice.js")
	if err != nil {
		t.Fatal(err)
	}
	words := map[wsauth.Advice]string{
		wsauth.AdviceRenew: "refresh", wsauth.AdviceStop: "stop", wsauth.AdviceReconnect: "retry", wsauth.AdviceWait: "wait",
	}
	for _, reason := range wsauth.Reasons() {
		outcome := reason.Outcome()
		row := "\n  " + strconv.Itoa(outcome.Code) + `: "` + words[outcome.Advice] + `",`
		if !strings.Contains(string(table), row) {
			t.Errorf("advice.js has no line%s for %s", row, reason)
		}
	}
}

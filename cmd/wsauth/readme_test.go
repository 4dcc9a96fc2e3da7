package main

import (
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// readme writes README.md and, as wsauth.yaml, the file that stands in it. In
// the file only the addresses are others: a free port where it listens, and
// the script's backend.
func readme(ts *testscript.TestScript, _ bool, _ []string) {
	// A script's own folder is elsewhere; the test runs in that of the package.
	page, err := os.ReadFile("../../README.md")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("README.md"), page, 0o600))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 1 {
		ts.Fatalf("README.md has %d files, want one", len(blocks))
	}
	file := blocks[0][1]
	for _, address := range []struct{ old, now string }{
		{"listen: 127.0.0.1:8000\n", "listen: 127.0.0.1:0\n"},
		{"upstream: http://127.0.0.1:9000\n", "upstream: " + ts.Getenv("BACKEND") + "\n"},
	} {
		if !strings.Contains(file, address.old) {
			ts.Fatalf("the file has no %q", address.old)
		}
		file = strings.ReplaceAll(file, address.old, address.now)
	}
	ts.Check(os.WriteFile(ts.MkAbs("wsauth.yaml"), []byte(file), 0o600))
}

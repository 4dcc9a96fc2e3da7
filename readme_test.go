package wsauth_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeCodeCompiles checks that the Go code of the README is part of a
// program that is compiled with the tests.
func TestReadmeCodeCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/echo/main.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no Go code")
	}
	for _, block := range blocks {
		if !strings.Contains(squeeze(string(program)), squeeze(block[1])) {
			t.Errorf("not a part of examples/echo/main.go:\n%s", block[1])
		}
	}
}

// squeeze removes leading white space and empty lines.
func squeeze(code string) string {
	return regexp.MustCompile(`(?m)^\s+`).ReplaceAllString(code, "")
}

package tools

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestCommentWidth checks that no comment on a line of its own is wider than 80
// columns, without its indentation. Exceptions are code in doc comments, single
// words such as URLs, and the output of examples.
func TestCommentWidth(t *testing.T) {
	slashes, hash := regexp.MustCompile(`^\s*((// |/\*|\* ).*)`), regexp.MustCompile(`^\s*(#.*)`)
	comments := map[string]*regexp.Regexp{".go": slashes, ".js": slashes, ".mjs": slashes, ".ts": slashes, ".sh": hash, "": hash}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && slices.Contains([]string{".git", "node_modules"}, entry.Name()) {
			return cmp.Or(err, fs.SkipDir)
		}
		comment := comments[path.Ext(name)]
		if comment == nil || !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile("../" + name)
		number, isOutput := 0, false
		for line := range strings.Lines(string(text)) {
			number++
			found := comment.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			isOutput = found != nil && (isOutput || found[1] == "// Output:")
			if found != nil && !isOutput && len(strings.Fields(found[1])) > 2 && utf8.RuneCountInString(found[1]) > 80 {
				t.Errorf("%s:%d: a comment of %d columns", name, number, utf8.RuneCountInString(found[1]))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

package attack

import (
	"go/scanner"
	gotoken "go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadme checks that README.md lists every code in the project's comments,
// strings and test names, and that the tests and files in README.md exist.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	used, tests := scanProject(t)
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]*) \|$`).FindAllStringSubmatch(string(text), -1) {
		code := row[1]
		if listed[code] {
			t.Errorf("%s is listed twice", code)
		}
		listed[code] = true
		if strings.TrimSpace(row[3]) == "" {
			t.Errorf("%s has neither a test nor a reason", code)
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[3], -1) {
			if !exists(name[1], tests) {
				t.Errorf("%s: there is no %s", code, name[1])
			}
		}
	}
	if len(listed) < 150 || len(used) < 100 {
		t.Fatalf("%d codes are listed, %d are used", len(listed), len(used))
	}
	for code, where := range used {
		if !listed[code] {
			t.Errorf("%s, of %s, is not listed", code, where)
		}
	}
}

// exists reports whether a name in README.md is a test, a pattern that matches
// a test, or a file.
func exists(name string, tests []string) bool {
	if strings.Contains(name, "/") {
		_, err := os.Stat(filepath.Join("..", name))
		return err == nil
	}
	prefix, isPattern := strings.CutSuffix(name, "*")
	return slices.ContainsFunc(tests, func(test string) bool {
		return test == name || isPattern && strings.HasPrefix(test, prefix)
	})
}

// scanProject returns the codes that the project uses, each with one file that
// uses it, and the names of the project's tests and fuzz targets.
func scanProject(t *testing.T) (used map[string]string, tests []string) {
	t.Helper()
	used = map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2):
			return fs.SkipDir
		case entry.IsDir() || !slices.Contains([]string{".go", ".txtar"}, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		prose := []string{string(text)}
		if filepath.Ext(path) == ".go" {
			var names []string
			prose, names = proseOf(text)
			tests = append(tests, names...)
			for _, name := range names {
				for part := range strings.SplitSeq(strings.TrimPrefix(name, "Test"), "_") {
					prose = append(prose, part)
				}
			}
		}
		for _, s := range prose {
			for _, code := range codesIn(s) {
				used[code] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used, tests
}

// proseOf returns the comments and strings of a Go file, and the names of its
// tests and fuzz targets.
func proseOf(source []byte) (prose, names []string) {
	var s scanner.Scanner
	file := gotoken.NewFileSet().AddFile("", -1, len(source))
	s.Init(file, source, nil, scanner.ScanComments)
	var last gotoken.Token
	for {
		_, kind, literal := s.Scan()
		switch {
		case kind == gotoken.EOF:
			return prose, names
		case kind == gotoken.COMMENT || kind == gotoken.STRING:
			prose = append(prose, literal)
		case last == gotoken.FUNC && (strings.HasPrefix(literal, "Test") || strings.HasPrefix(literal, "Fuzz")):
			names = append(names, literal)
		}
		last = kind
	}
}

var (
	codePattern = regexp.MustCompile(`[QJTCHPLRGOKDS]\d{1,2}`)
	partOfWord  = regexp.MustCompile(`[0-9A-Za-z%\\+=.-]`)
)

// codesIn returns the codes in a text. It ignores matches within a word, an
// escape or a number.
func codesIn(text string) (codes []string) {
	for _, at := range codePattern.FindAllStringIndex(text, -1) {
		before, after := text[max(at[0]-1, 0):at[0]], text[at[1]:min(at[1]+1, len(text))]
		if after == "." { // the end of a sentence
			after = text[at[1]+1 : min(at[1]+2, len(text))]
		}
		if !partOfWord.MatchString(before) && !partOfWord.MatchString(after) {
			codes = append(codes, text[at[0]:at[1]])
		}
	}
	return codes
}

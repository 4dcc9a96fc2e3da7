package wsauth_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// pages returns the names of all pages of the project.
func pages(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "testdata" || entry.Name() == ".git"):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// anchors returns the fragments of the links to the headings of a page, as
// GitHub generates them.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(fence.ReplaceAllString(page, "")) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		all[anchor] = true
	}
	return all
}

// TestLinks checks that every link from a page to a file, a folder or a heading
// of the project has a target.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	found := 0
	for _, page := range pages(t) {
		for _, to := range link.FindAllStringSubmatch(fence.ReplaceAllString(readDoc(t, page), ""), -1) {
			if strings.Contains(to[1], "://") {
				continue
			}
			found++
			name, fragment, _ := strings.Cut(to[1], "#")
			target := page
			if name != "" {
				target = filepath.Join(filepath.Dir(page), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page, to[1], err)
			} else if fragment != "" && !anchors(readDoc(t, target))[fragment] {
				t.Errorf("%s: %s: no such heading", page, to[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links found", found)
	}
}

// TestDocsIndex checks that docs/README.md links to every other page of its
// folder.
func TestDocsIndex(t *testing.T) {
	index := readDoc(t, "docs/README.md")
	for _, page := range pages(t) {
		name := filepath.Base(page)
		if filepath.Dir(page) == "docs" && name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not link to %s", name)
		}
	}
}

// TestNamedPagesExist checks that the pages that code, help and units name
// exist.
func TestNamedPagesExist(t *testing.T) {
	named := regexp.MustCompile(`\bdocs/[\w-]+\.md`)
	found := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{"node_modules", ".git"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || !slices.Contains([]string{".go", ".js", ".service", ".socket", ".yaml", ".html", ""}, filepath.Ext(path)) {
			return nil
		}
		for _, name := range named.FindAllString(readDoc(t, path), -1) {
			found++
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Fatal(found, err)
	}
}

// TestShellInPagesParses checks that a shell can parse the commands in pages.
func TestShellInPagesParses(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(readDoc(t, page), -1) {
			if block[1] != "sh" {
				continue
			}
			found++
			if strings.HasPrefix(block[2], "0 4 ") { // a line of a crontab
				block[2] = block[2][len("0 4 1 * *"):]
			}
			shell := exec.Command("sh", "-n")
			shell.Stdin = strings.NewReader(block[2])
			if out, err := shell.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", page, err, out, block[2])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d found", found)
	}
}

// TestGoCommandsInPages checks that the folders in go commands of pages are
// packages, and that those that the command runs are programs. Arguments of
// bench must be the names of its figures.
func TestGoCommandsInPages(t *testing.T) {
	command := regexp.MustCompile("(?m)(?:^ *|`)go (?:-C (\\w+) )?(run|build|test|doc)((?: [^ `#\n]+)+)")
	figures := map[string]bool{"all": true}
	for _, figure := range regexp.MustCompile(`(?m)^\t\{"([a-z-]+)", `).FindAllStringSubmatch(readDoc(t, "bench/main.go"), -1) {
		figures[figure[1]] = true
	}
	found := 0
	for _, page := range append(pages(t), "bench/main.go", "deploy/Dockerfile") {
		for _, c := range command.FindAllStringSubmatch(strings.ReplaceAll(readDoc(t, page), "//\t", ""), -1) {
			words := strings.Fields(c[3])
			for i, word := range words {
				name, isPath := strings.CutPrefix(word, "./")
				if !isPath {
					continue
				}
				found++
				dir := filepath.Join(c[1], strings.TrimSuffix(name, "..."))
				source, err := filepath.Glob(filepath.Join(dir, "*.go"))
				if err != nil || len(source) == 0 {
					t.Errorf("%s: %q: no Go files in %s", page, c[0], dir)
					continue
				}
				if c[2] != "run" {
					continue
				}
				if !regexp.MustCompile(`(?m)^package main$`).MatchString(readDoc(t, source[0])) {
					t.Errorf("%s: %q: %s is not a program", page, c[0], dir)
				}
				for _, figure := range words[i+1:] {
					if dir == "bench" && !figures[figure] {
						t.Errorf("%s: %q: bench has no figure %s", page, c[0], figure)
					}
				}
				break // the other arguments are for the program
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d found", found)
	}
}

// TestGoNamesInPages checks that names such as wsauth.Config.Origins in pages
// exist in their package. So must names without a package, such as
// Config.Origins, in the pages about the library.
func TestGoNamesInPages(t *testing.T) {
	names := exported(t, ".", "token", "token/keyring", "token/jwks", "idp", "store", "store/bolt", "store/memory", "store/storekit", "internal/gateway", "client")
	packages := regexp.MustCompile("`(wsauth|token|keyring|jwks|idp|store|bolt|memory|storekit|gateway)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)`")
	types := regexp.MustCompile("`(Config|Guard|Socket|Sessions|Claims|Gateway|FirstMessage|Limits)\\.([A-Z]\\w*)(?:\\(\\))?`")
	found := 0
	for _, page := range pages(t) {
		text := readDoc(t, page)
		for _, name := range packages.FindAllStringSubmatch(text, -1) {
			if found++; !names[name[1]+"."+name[2]] {
				t.Errorf("%s: there is no %s.%s", page, name[1], name[2])
			}
		}
		for _, name := range types.FindAllStringSubmatch(text, -1) {
			found++
			member := name[1] + "." + name[2]
			if !names["wsauth."+member] && !names["store."+member] && !names["token."+member] && !names["gateway."+member] && !names["idp."+member] {
				t.Errorf("%s: there is no %s", page, member)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d found", found)
	}
}

// TestGoFragmentsInPages checks that Go code in pages that is not a whole
// program compiles in a function that declares what it uses.
func TestGoFragmentsInPages(t *testing.T) {
	const before = `package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pires/go-proxyproto"

	"wsauth"
	"wsauth/idp"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token/jwks"
)

var (
	logger   *slog.Logger
	mux      *http.ServeMux
	verifier wsauth.Verifier

	_ = []any{errors.Is, idp.New, jwks.New, net.Listen, proxyproto.NewConn, store.ErrFull, memory.New, time.Second, wsauth.New}
)

func echo(http.ResponseWriter, *http.Request) {}

func main() {}
`
	found := 0
	for _, page := range pages(t) {
		if page == "README.md" { // see TestReadmeCodeCompiles
			continue
		}
		for _, block := range fence.FindAllStringSubmatch(readDoc(t, page), -1) {
			if block[1] != "go" || strings.HasPrefix(block[2], "package ") {
				continue
			}
			found++
			parameters := "ctx context.Context"
			if !strings.Contains(block[2], "err :=") {
				parameters += ", err error"
			}
			file := filepath.Join(t.TempDir(), "main.go")
			program := before + "\nfunc _(" + parameters + ") error {\n" + strings.ReplaceAll(block[2], "…", "") + "return nil\n}\n"
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", page, err, out, block[2])
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d found", found)
	}
}

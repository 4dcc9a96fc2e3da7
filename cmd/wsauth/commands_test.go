package main

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A shownCommand is a command line in a text.
type shownCommand struct {
	at    string // the file
	words []string
	span  bool // in a sentence, where it may only name the command
}

var (
	fence    = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	indented = regexp.MustCompile(`(?m)^    (\S.*)$`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	quoted   = regexp.MustCompile(`\\?"(wsauth [^"\\]+)\\?"`)
	unitLine = regexp.MustCompile(`(?m)^Exec\w+=(.*)$`)
	// separator ends a simple command: another command, a file, a command
	// substitution or a comment follows.
	separator = regexp.MustCompile(` && | \|\|? |; | [<>] ?|\$?\(|\)| #|$`)
)

// shownCommands returns the commands of this program in the texts of the
// project: pages, help, messages, comments of files and units.
func shownCommands(t *testing.T) (all []shownCommand) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == "node_modules" || entry.Name() == "testdata" || entry.Name() == ".git") {
				return fs.SkipDir
			}
			return err
		}
		kind := path.Ext(name)
		if !slices.Contains([]string{".md", ".go", ".yaml", ".service"}, kind) || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		text := string(content)
		add := func(span bool, found [][]string) {
			for _, f := range found {
				lines := strings.ReplaceAll(f[1], "\\\n", "")
				for line := range strings.Lines(lines) {
					all = append(all, commandsOf(name, strings.TrimSpace(line), span)...)
				}
			}
		}
		switch kind {
		case ".md":
			for _, block := range fence.FindAllStringSubmatch(text, -1) {
				if block[1] == "sh" || block[1] == "" {
					add(false, [][]string{block[1:]})
				}
			}
			add(true, codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1))
		case ".service":
			add(false, unitLine.FindAllStringSubmatch(text, -1))
		case ".go":
			if strings.HasPrefix(name, "store/") || name == "ticketkey.go" { // which write the name into files and hashes
				return nil
			}
			add(true, quoted.FindAllStringSubmatch(text, -1))
			if strings.HasPrefix(name, "cmd/wsauth/") { // examples of the help
				add(false, indented.FindAllStringSubmatch(text, -1))
			}
		case ".yaml":
			add(true, quoted.FindAllStringSubmatch(text, -1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// commandsOf returns the commands of this program in a line of a shell.
func commandsOf(at, line string, span bool) (all []shownCommand) {
	for line != "" {
		var rest string
		if end := separator.FindStringIndex(line); end != nil {
			line, rest = line[:end[0]], line[end[1]:]
			if strings.HasSuffix(line, " #") {
				rest = ""
			}
		}
		words := wordsOf(line)
		if len(words) > 2 && words[0] == "sudo" && words[1] == "-u" {
			words = words[3:]
		}
		for i, word := range words {
			if word != "wsauth" && word != "./wsauth" && word != "/usr/local/bin/wsauth" && word != "./cmd/wsauth" {
				continue
			}
			if i == 0 || words[0] == "sudo" || words[0] == "$" || strings.HasPrefix(strings.Join(words, " "), "go run ./cmd/wsauth") || regexp.MustCompile(`^[0-9*]`).MatchString(words[0]) {
				all = append(all, shownCommand{at, words[i+1:], span})
			}
			break
		}
		line = rest
	}
	return all
}

// wordsOf splits a line into words. Quoted arguments in these texts contain no
// spaces.
func wordsOf(line string) []string {
	words := strings.Fields(line)
	for i, word := range words {
		words[i] = strings.Trim(word, `'"`)
	}
	return words
}

// TestShownCommandsParse checks that every command of this program in the
// pages, the help, messages and units is valid, with its flags.
func TestShownCommandsParse(t *testing.T) {
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "WSAUTH_") {
			t.Setenv(name, "")
		}
	}
	seen := map[string]int{}
	for _, command := range shownCommands(t) {
		seen[command.at]++
		if len(command.words) == 0 || command.span && isName(t, command.words) {
			continue
		}
		if command.words[len(command.words)-1] == "--help" {
			command.words = command.words[:len(command.words)-1]
			if isName(t, command.words) {
				continue
			}
		}
		if last := command.words[len(command.words)-1]; command.span && (last == "--config" || last == "--users") {
			command.words = append(slices.Clone(command.words), "FILE")
		}
		parser, err := kong.New(&cli{}, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(command.words); err != nil {
			t.Errorf("%s: wsauth %s: %v", command.at, strings.Join(command.words, " "), err)
		}
	}
	for _, name := range []string{"README.md", "docs/admin.md", "docs/keys.md", "docs/connect.md", "docs/configuration.md", "docs/operations.md",
		"docs/identity-providers.md", "cmd/wsauth/connect.go", "internal/gateway/proxy/checkroutes.go", "internal/config/example.yaml", "deploy/systemd/wsauth.service"} {
		if seen[name] == 0 {
			t.Errorf("no command found in %s", name)
		}
	}
}

// isName reports whether words are only the name of a command or of a group.
func isName(t *testing.T, words []string) bool {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	node := parser.Model.Node
	for _, word := range words {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word })
		if i < 0 {
			return false
		}
		node = node.Children[i]
	}
	return true
}

// TestShownFlagsExist checks that every flag and environment variable on a page
// exists in this program, or in another program on that page.
func TestShownFlagsExist(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{"--help": true}
	variables := map[string]bool{"WSAUTH_PASSWORD": true, "WSAUTH_TOKEN": true}
	for _, leaf := range parser.Model.Leaves(false) {
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				flags["--"+flag.Name] = true
				for _, env := range flag.Envs {
					variables[env] = true
				}
			}
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, "../../README.md", "../../client/README.md", "../../examples/README.md", "../../deploy/Dockerfile", "../../deploy/systemd/wsauth.service", "../../internal/config/example.yaml") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range regexp.MustCompile("`(--[a-z][a-z-]*)").FindAllStringSubmatch(string(text), -1) {
			if !flags[flag[1]] {
				t.Errorf("%s: no command has %s", page, flag[1])
			}
		}
		if strings.HasSuffix(page, ".yaml") {
			for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(string(text), -1) {
				if !flags[flag] && !flags["--"+strings.TrimPrefix(flag, "--no-")] {
					t.Errorf("%s: no command has %s", page, flag)
				}
			}
		}
		for _, variable := range regexp.MustCompile(`\bWSAUTH_[A-Z_]+`).FindAllString(string(text), -1) {
			if !variables[variable] {
				t.Errorf("%s: no command reads %s", page, variable)
			}
		}
	}
}

// TestOperatorCommandsHaveJSON checks that all commands that query the running
// server have --json, as docs/admin.md says.
func TestOperatorCommandsHaveJSON(t *testing.T) {
	page, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| what it does | command |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	commands := map[string]bool{}
	for _, found := range regexp.MustCompile("`wsauth (\\w+)").FindAllStringSubmatch(table, -1) {
		commands[found[1]] = true
	}
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(false) {
		flags := map[string]bool{}
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				flags[flag.Name] = true
			}
		}
		if flags["admin-url"] != commands[leaf.Name] || flags["admin-url"] && !flags["json"] {
			t.Errorf("%s: asks the server: %v, is in docs/admin.md: %v, --json: %v", leaf.Path(), flags["admin-url"], commands[leaf.Name], flags["json"])
		}
	}
}

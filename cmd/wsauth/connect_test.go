package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
)

func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("wsauth", args[1:]...)
	code := 0
	if err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func jsonLines(ts *testscript.TestScript, _ bool, args []string) {
	var events []string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var event struct{ Event, Time string }
		ts.Check(json.Unmarshal([]byte(line), &event))
		if event.Time == "" {
			ts.Fatalf("no time in %s", line)
		}
		events = append(events, event.Event)
	}
	if !slices.Equal(events, args[1:]) {
		ts.Fatalf("events %q, want %q", events, args[1:])
	}
}

// secret matches the start of a token, or a whole ticket.
var secret = regexp.MustCompile(`eyJ|\b[A-Z2-7]{26}\b`)

func secretless(ts *testscript.TestScript, _ bool, _ []string) {
	for _, name := range []string{"stdout", "stderr"} {
		if found := secret.FindString(ts.ReadFile(name)); found != "" {
			ts.Fatalf("%s holds %s", name, found)
		}
	}
}

// TestConnectPageNamesFlags checks that every flag on the page about the
// command exists.
func TestConnectPageNamesFlags(t *testing.T) {
	page, err := os.ReadFile("../../docs/connect.md")
	if err != nil {
		t.Fatal(err)
	}
	parser, err := kong.New(&connectCmd{})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"help": true}
	for _, group := range parser.Model.AllFlags(false) {
		for _, flag := range group {
			known[flag.Name] = true
		}
	}
	named := regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(string(page), -1)
	if len(named) == 0 {
		t.Error("the page names no flags")
	}
	for _, flag := range named {
		if !known[flag[1]] {
			t.Errorf("the flag --%s does not exist", flag[1])
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsauth/internal/adminapi"
)

// TestListsEscapeControlSequences checks that lists contain no control
// sequences, and that their JSON still has the exact names.
func TestListsEscapeControlSequences(t *testing.T) {
	const name = "a\x1b]0;x\x07\r\n\u202e\u009b1m\tb"
	all := merge([]answer[[]adminapi.Session]{{name, []adminapi.Session{{Sub: name, JTI: name, Remote: name}}}}, []adminapi.StoredSession{{Sub: name, SID: name, Remote: name, Agent: name}})
	all = append(all, socketRow{name, adminapi.Socket{Sub: name, SID: name, JTI: name, Route: name, Upstream: name, Remote: name}})
	for _, asJSON := range []bool{false, true} {
		var b strings.Builder
		if err := printList(&b, asJSON, true, "HEAD", all); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); strings.ContainsAny(text, "\x1b\x07\r\u202e\u009b") || strings.Count(text, `\u001b]0;x`) < 13 {
			t.Errorf("got %q", text)
		}
		lines := strings.Count(b.String(), "\n")
		if want := map[bool]int{false: 4, true: 5}[asJSON]; lines != want {
			t.Errorf("%d lines, want %d: %q", lines, want, b.String())
		}
		if !asJSON {
			continue
		}
		var read []map[string]any
		if err := json.Unmarshal([]byte(b.String()), &read); err != nil || len(read) != 3 || read[0]["sub"] != name || read[2]["route"] != name {
			t.Errorf("got %v, %v", read, err)
		}
	}
	if done := inWords(adminapi.Revoked{Target: "user", ID: name, Before: name}); strings.ContainsAny(done, "\x1b\x07\r\n\u202e") || !strings.Contains(done, `a\u001b]0;x`) {
		t.Errorf("got %q", done)
	}
}

// TestStoredAndOpenSessionsAreMerged checks that a session that is stored and
// has open sockets is listed once for each node that has them.
func TestStoredAndOpenSessionsAreMerged(t *testing.T) {
	all := merge(
		[]answer[[]adminapi.Session]{
			{"a", []adminapi.Session{{SID: "s1", Sockets: 2, Opened: 5}, {SID: "s3", Sockets: 1, Opened: 6}, {JTI: "j", Sockets: 1}, {Sockets: 1}}},
			{"b", []adminapi.Session{{SID: "s1", Sockets: 4, Opened: 7}}},
		},
		[]adminapi.StoredSession{{SID: "s1", Sockets: 2, Started: 1, Used: 3}, {SID: "s2", Started: 2}},
	)
	want := []row{
		listedSession{Node: "a", SID: "s1", Sockets: 2, Started: 1, Used: 3}, listedSession{Node: "b", SID: "s1", Sockets: 4, Started: 1, Used: 3}, listedSession{SID: "s2", Started: 2},
		listedSession{Node: "a", SID: "s3", Sockets: 1, Started: 6}, listedSession{Node: "a", JTI: "j", Sockets: 1}, listedSession{Node: "a", Sockets: 1},
	}
	if fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", all, want)
	}
}

// TestConfirm checks that only the word "everything" confirms.
func TestConfirm(t *testing.T) {
	for answer, ok := range map[string]bool{"everything\n": true, "everything": true, "everything\r\n": true, "yes\n": false, "\n": false, "": false, "Everything\n": false, "everything else\n": false} {
		var out strings.Builder
		err := confirm(t.Context(), strings.NewReader(answer), &out, "This ends all.")
		if (err == nil) != ok || !strings.HasPrefix(out.String(), "This ends all.\nType everything") {
			t.Errorf("%q: got %v, %q, want success: %v", answer, err, out.String(), ok)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, hangUp := net.Pipe()
	defer silent.Close()
	defer hangUp.Close()
	if err := confirm(ctx, silent, new(strings.Builder), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt is no answer: %v", err)
	}
}

// TestSocketOfTheServer checks that flags take precedence over the file, and
// the file over the default.
func TestSocketOfTheServer(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/home/x")
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "wsauth.yaml")
		write(t, path, text)
		return path
	}
	for i, tt := range []struct {
		at   serverAt
		want string
	}{
		{serverAt{}, "/home/x/wsauth/admin.sock"},
		{serverAt{Data: dir}, filepath.Join(dir, "admin.sock")},
		{serverAt{Data: dir, AdminSocket: "/run/a"}, "/run/a"},
		{serverAt{Config: file("listen: 127.0.0.1:1")}, "/home/x/wsauth/admin.sock"},
		{serverAt{Config: file("data: /var/x")}, "/var/x/admin.sock"},
		{serverAt{Config: file("{data: /var/x, admin: {socket: /run/b}}")}, "/run/b"},
		{serverAt{Config: file("{data: /var/x, admin: {socket: /run/b}}"), AdminSocket: "/run/a"}, "/run/a"},
		{serverAt{Config: file("{data: /var/x, admin: {socket: /run/b}}"), Data: dir}, filepath.Join(dir, "admin.sock")},
	} {
		if got, err := tt.at.socket(); got != tt.want || err != nil {
			t.Errorf("%d: %q, %v, want %q", i, got, err, tt.want)
		}
	}
	for _, at := range []serverAt{{AdminSocket: "off"}, {Config: file("admin: {socket: off}")}} {
		if got, err := at.socket(); err == nil || !strings.Contains(err.Error(), "is off") {
			t.Errorf("%v: got %q, %v, want an error with %q", at, got, err, "is off")
		}
	}
	if got, err := (&serverAt{Config: filepath.Join(dir, "none")}).socket(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without its file: %q, %v", got, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

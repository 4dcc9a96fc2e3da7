package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdminSocketMayBeOff checks that the socket's path is relative to the
// folder of the file, unless the socket is off.
func TestAdminSocketMayBeOff(t *testing.T) {
	for text, want := range map[string]string{
		"off":          Off,
		`"off"`:        Off,
		"./off":        filepath.Join("folder", "off"),
		"a.sock":       filepath.Join("folder", "a.sock"),
		"/run/a.sock":  "/run/a.sock",
		"off/../a":     filepath.Join("folder", "a"),
		`""`:           "",
		`"@abstract"`:  filepath.Join("folder", "@abstract"),
		"offside.sock": filepath.Join("folder", "offside.sock"),
	} {
		d := Parse("folder/f.yaml", []byte("admin: {socket: "+text+"}\nusers: off\n"))
		if _, err := (&Maker{}).Make(d); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := d.Settings.Admin.Socket; got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
		if got := d.Settings.Users; got != filepath.Join("folder", "off") {
			t.Errorf("users: off gives %q, want a file named off", got)
		}
	}
}

func TestAdminListenIsOnThisMachine(t *testing.T) {
	for listen, ok := range map[string]bool{
		"127.0.0.1:9091": true, "[::1]:9091": true, "localhost:9091": true, "127.5.5.5:0": true,
		":9091": false, "0.0.0.0:9091": false, "[::]:9091": false, "192.0.2.1:9091": false, "[2001:db8::1]:9091": false,
	} {
		faults := faultsOf(t, "admin: {listen: '"+listen+"', token_file: t}\n")
		if (len(faults) == 0) != ok || !ok && !strings.Contains(faults[0], "other machines can reach it") {
			t.Errorf("%s: got %v", listen, faults)
		}
	}
}

func TestAdminHost(t *testing.T) {
	for host, want := range map[string]string{
		"admin.app.example": "", "admin.app.example:9091": "ports are not part of it", "'*.app.example'": "a whole name", "u:secret@h": "must not contain a user or a password",
	} {
		faults := faultsOf(t, "admin: {host: "+host+"}\n")
		if (len(faults) == 0) != (want == "") || want != "" && (!strings.Contains(faults[0], want) || strings.Contains(faults[0], "secret")) {
			t.Errorf("%s: got %v", host, faults)
		}
	}
}

// TestAdminTokenFileIsRead checks that the token file is checked before a
// server starts.
func TestAdminTokenFileIsRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "wsauth.yaml")
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"good":  {"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM", 0o600, ""},
		"short": {"secret", 0o600, "too short"},
		"open":  {"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM", 0o604, "chmod 600"},
	} {
		path := filepath.Join(dir, "admin.token")
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := (&Maker{Files: true}).Make(Parse(file, []byte("admin: {listen: '127.0.0.1:9091', token_file: admin.token}\n")))
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), file+":1: admin.token_file: ")) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

package adminapi

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadToken(t *testing.T) {
	good := rand.Text() + rand.Text()
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string // of the error
	}{
		"good":               {good + "\n", 0o600, ""},
		"base64":             {"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\r\n", 0o600, ""},
		"open to others":     {good, 0o644, "chmod 600"},
		"open to the group":  {good, 0o640, "chmod 600"},
		"short":              {good[:42], 0o600, "42 characters is too short"},
		"empty":              {"", 0o600, "empty"},
		"spaces only":        {" \n", 0o600, "too short"},
		"one letter":         {strings.Repeat("a", 64), 0o600, "can be guessed"},
		"two lines":          {good + "\n" + good, 0o600, "in one line"},
		"no text":            {good + "\x00", 0o600, "in one line"},
		"very long":          {strings.Repeat(good, 30), 0o600, "at most 1024"},
		"a key":              {"-----BEGIN PRIVATE KEY-----\n" + good, 0o600, "in one line"},
		"longer than a file": {strings.Repeat(good, 2000), 0o600, "longer than"},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadToken(path)
		if tt.want == "" && (err != nil || got != strings.TrimSpace(tt.text)) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || got != "") {
			t.Errorf("%s: %q, %v; want a refusal with %q", name, got, err, tt.want)
		}
		if err != nil && len(tt.text) > 20 && strings.Contains(err.Error(), tt.text[:20]) {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
	if _, err := ReadToken(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

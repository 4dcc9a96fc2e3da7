package login

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
)

// usersFile writes a file of users. In users, names and passwords alternate.
func usersFile(t *testing.T, path string, users ...string) {
	t.Helper()
	var text strings.Builder
	for pair := range slices.Chunk(users, 2) {
		hash, err := bcrypt.GenerateFromPassword([]byte(pair[1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(pair[0] + ":" + string(hash) + "\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openUsers(t *testing.T, users ...string) (*Users, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	usersFile(t, path, users...)
	u, err := OpenUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	return u, path
}

func TestUsersAuthenticate(t *testing.T) {
	u, _ := openUsers(t, "anna", "a-secret", "bert", "b-secret")
	if u.Len() != 2 {
		t.Errorf("%d users", u.Len())
	}
	for _, tt := range []struct {
		name, password string
		want           bool
	}{
		{"anna", "a-secret", true},
		{"bert", "b-secret", true},
		{"anna", "b-secret", false},
		{"anna", "", false},
		{"", "", false},
		// No password works for an unknown name, whichever hash is compared.
		{"carl", "a-secret", false},
		{"carl", "b-secret", false},
		{"dora", "a-secret", false},
		{"dora", "b-secret", false},
	} {
		if got, err := u.Authenticate(t.Context(), tt.name, tt.password); got != tt.want || err != nil {
			t.Errorf("%q, %q: %v, %v", tt.name, tt.password, got, err)
		}
	}
}

func TestUsersWaitForTheirTurnWithinTheContext(t *testing.T) {
	synctest.Test(t, testUsersWaitForTheirTurn)
}

func testUsersWaitForTheirTurn(t *testing.T) {
	u, _ := openUsers(t, "anna", "secret")
	var leave []func()
	for range u.hashing.slots {
		l, err := u.hashing.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := u.Authenticate(ctx, "anna", "secret"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v; want the end of the wait", ok, err)
	}
	answers := make(chan bool)
	go func() {
		ok, _ := u.Authenticate(t.Context(), "anna", "secret")
		answers <- ok
	}()
	synctest.Wait()
	select {
	case <-answers:
		t.Error("more passwords are hashed at once than may be")
	default:
	}
	leave[0]()
	if !<-answers {
		t.Error("refused in its turn")
	}
}

func TestS6_ReloadKeepsWhatItHasWhenTheFileIsBroken(t *testing.T) {
	u, path := openUsers(t, "anna", "secret", "bert", "secret", "carl", "secret")
	if changed, err := u.Reload(false); err != nil || changed.Outdated() != nil {
		t.Errorf("nothing changed, but %v, %v", changed, err)
	}
	if err := os.WriteFile(path, []byte("anna:hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	changed, err := u.Reload(false)
	if err == nil || changed.Outdated() != nil || !strings.Contains(err.Error(), "line 1: the hash is neither") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, %v", changed, err)
	}
	if ok, err := u.Authenticate(t.Context(), "anna", "secret"); !ok || err != nil {
		t.Errorf("the old users are gone: %v, %v", ok, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenUsers(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("S2: a file that others can read: %v", err)
	}
	usersFile(t, path, "anna", "other", "carl", "secret", "dora", "secret")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	changed, err = u.Reload(false)
	if err != nil || !slices.Equal(changed.Outdated(), []string{"anna", "carl", "bert"}) { // carl has a new salt
		t.Errorf("%v, %v", changed, err)
	}
	if ok, _ := u.Authenticate(t.Context(), "anna", "secret"); ok {
		t.Error("the old password is still accepted")
	}
	if ok, _ := u.Authenticate(t.Context(), "anna", "other"); !ok {
		t.Error("the new password is refused")
	}
}

func TestL13_ChangesWhileNoServerRuns(t *testing.T) {
	u, path := openUsers(t, "anna", "secret", "bert", "secret")
	seen := filepath.Join(filepath.Dir(path), "seen")
	if _, err := u.OutdatedSince(seen); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing was written, but %v", err)
	}
	if err := u.Remember(seen); err != nil {
		t.Fatal(err)
	}
	if changed, err := u.OutdatedSince(seen); err != nil || changed != nil {
		t.Errorf("nothing changed, but %v, %v", changed, err)
	}
	usersFile(t, path, "anna", "other")
	u, err := OpenUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := u.OutdatedSince(seen); err != nil || !slices.Equal(changed, []string{"anna", "bert"}) {
		t.Errorf("%v, %v", changed, err)
	}
}

// TestUsersReloadWaitsForConfirmation checks that a file that removes more than
// half of the users needs confirmation, because it may have been truncated. An
// empty file is never accepted.
func TestUsersReloadWaitsForConfirmation(t *testing.T) {
	u, path := openUsers(t, "anna", "secret", "bert", "secret", "carl", "secret", "dora", "secret")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		text                 string
		refused, unconfirmed bool // without confirmation
		never                bool // with one, too
	}{
		"half":         {strings.Join(lines[:2], ""), false, false, false},
		"one of four":  {lines[0], true, true, false},
		"none":         {"# none\n", true, true, false},
		"others":       {strings.NewReplacer("anna", "a", "bert", "b", "carl", "c").Replace(string(whole)), true, true, false},
		"empty":        {"", true, false, true},
		"blank":        {"\n \n", true, false, true},
		"cut off":      {strings.Join(lines[:3], "") + lines[3][:30], true, false, true},
		"nothing gone": {string(whole), false, false, false},
	} {
		put(tt.text)
		before := u.list.Load()
		_, err := u.Reload(false)
		if (err != nil) != tt.refused || errors.Is(err, ErrUnconfirmed) != tt.unconfirmed {
			t.Errorf("%s: %v", name, err)
		}
		if tt.refused && u.list.Load() != before {
			t.Errorf("%s: refused, but applied", name)
		}
		if _, err := u.Reload(true); (err != nil) != tt.never {
			t.Errorf("%s, confirmed: %v", name, err)
		}
		put(string(whole))
		if _, err := u.Reload(true); err != nil {
			t.Fatal(err)
		}
	}
	put("")
	if _, err := OpenUsers(path); err == nil || !strings.Contains(err.Error(), "is empty; add a user") {
		t.Errorf("an empty file at the start: %v", err)
	}
}

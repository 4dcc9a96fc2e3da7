package keyring

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/testenv"
	"wsauth/token"
)

func TestOpenReads(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	dir := folderOf(t,
		"old.pem", "exp: "+now.Add(time.Hour).Format(time.RFC3339)+"\n"+pkcs8(p256()),
		"new.pem", "nbf: "+now.Add(-time.Hour).Format(time.RFC3339)+"\n"+pkcs8(ed()),
		"next.pem", "nbf: "+now.Add(time.Hour).Format(time.RFC3339)+"\n"+pkcs8(rsaKey()),
		"dead.hs256", "an old secret that is put in the place of an older one", "newest.jwk", "",
		"README", "hello", ".hidden.jwk", "{", "a.PEM", "hello", "key", "x")
	remove(t, dir, "dead.hs256")
	public := must(must(token.GenerateKey(token.ES256)).Public())
	put(t, dir, "newest.jwk", string(format(Entry{Key: public, NotBefore: now.Add(-time.Minute)})))
	put(t, dir, "dead.jwk", jwkOf(token.HS256, time.Time{}, now.Add(-time.Hour)))
	r, _ := open(t, dir)
	if got, want := ids(t, r), []string{"next", public.ID(), "new", "old"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if got := signer(r); got != "new" {
		t.Errorf("%q signs, want the newest that can", got)
	}
	if got := string(set(t, r).PublicJWKS()); strings.Count(got, `"kty"`) != 4 || !strings.Contains(got, `"next"`) || strings.Contains(got, `"d"`) {
		t.Errorf("published: %s", got)
	}
	list := r.Entries()
	states := map[State]int{}
	for i := range list {
		states[StateOf(list, i, time.Now())]++
	}
	if states[Signing] != 1 || states[Next] != 1 || states[Verifying] != 2 || states[Expired] != 1 {
		t.Errorf("states %v", states)
	}
}

// TestEmpty checks that a folder without keys is not an error, and that all
// tokens are refused.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir)
	if s := set(t, r); len(s.Keys()) != 0 || string(s.PublicJWKS()) != `{"keys":[]}` {
		t.Errorf("got %s", s.PublicJWKS())
	}
	if _, err := r.SigningKey(); err == nil || !strings.Contains(err.Error(), "wsauth keys generate") {
		t.Errorf("got %v", err)
	}
	v := must(token.NewVerifier(token.VerifierConfig{Keys: r}))
	raw := must(must(token.NewIssuer(token.IssuerConfig{Key: must(token.GenerateKey(token.ES256))})).Access("ada", token.Options{})).Raw
	if _, err := v.Verify(t.Context(), raw); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestOpenReportsEveryError(t *testing.T) {
	dir := folderOf(t, "a.pem", "hello", "b.jwk", "{}", "c.hs256", "secret", "d.pem", "kid: e\n"+pkcs8(ed()), "e.pem", pkcs8(p256()))
	_, err := Open(dir, Options{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{dir + "/a.pem: ", "/b.jwk: ", "/c.hs256: ", "d.pem and e.pem have the same ID", "fix the file, or move it out"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	dir = t.TempDir()
	for range maxKeys + 1 {
		put(t, dir, must(token.GenerateKey(token.HS256)).ID()+".jwk", jwkOf(token.HS256, time.Time{}, time.Time{}))
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "more than 256 keys") {
		t.Errorf("too many: %v", err)
	}
}

func TestS2_OpenRefuses(t *testing.T) {
	outside := folderOf(t, "a.pem", pkcs8(ed()))
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string) error
		want   string
	}{
		"mode 0644":      {func(_ *testing.T, dir string) error { return os.Chmod(dir+"/a.pem", 0o644) }, "chmod 600"},
		"link elsewhere": {func(_ *testing.T, dir string) error { return os.Symlink(outside+"/a.pem", dir+"/b.pem") }, "symbolic link"},
		"dangling link":  {func(_ *testing.T, dir string) error { return os.Symlink("none", dir+"/b.pem") }, "symbolic link"},
		"open folder":    {func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o777) }, "chmod go-w"},
		"other owner": {func(t *testing.T, dir string) error {
			t.Helper()
			testenv.NeedRoot(t)
			return os.Chown(dir+"/a.pem", 65534, 65534)
		}, "belongs to another user"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folderOf(t, "a.pem", pkcs8(ed()))
			if err := tt.change(t, dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestS5_OldKeyUntilThenNeverAfter checks that a key is used until its expiry
// and not after it, whether or not the folder is read.
func TestS5_OldKeyUntilThenNeverAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		dir := folderOf(t, "a.jwk", jwkOf(token.ES256, start, start.Add(time.Hour)), "b.jwk", jwkOf(token.EdDSA, start.Add(30*time.Minute), time.Time{}))
		r, _ := open(t, dir)
		issuer := must(token.NewIssuer(token.IssuerConfig{Key: r, AccessTTL: 2 * time.Hour}))
		verifier := must(token.NewVerifier(token.VerifierConfig{Keys: r}))
		old := must(issuer.Access("ada", token.Options{})).Raw
		first, key := set(t, r), signer(r)
		time.Sleep(30*time.Minute - 1)
		if signer(r) != key {
			t.Error("the next key signs too early")
		}
		time.Sleep(time.Nanosecond)
		if signer(r) == key {
			t.Error("the next key does not sign")
		}
		time.Sleep(30*time.Minute - 1)
		if _, err := verifier.Verify(t.Context(), old); err != nil {
			t.Errorf("before the expiry: %v", err)
		}
		if set(t, r) != first {
			t.Error("another set, with the same keys")
		}
		time.Sleep(time.Nanosecond)
		for range 2 {
			if _, err := verifier.Verify(t.Context(), old); !errors.Is(err, token.ErrAlgorithm) {
				t.Errorf("at the expiry: %v", err)
			}
		}
		if s := set(t, r); s == first || s != set(t, r) || len(s.Keys()) != 1 {
			t.Errorf("the set was not exchanged once")
		}
	})
}

// watch watches the folder until the test ends.
func watch(t *testing.T, r *Ring) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Watch(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folderOf(t, "a.pem", pkcs8(ed()))
		r, log := open(t, dir)
		watch(t, r)
		wantAfterPoll := func(want ...string) {
			t.Helper()
			time.Sleep(defaultPoll)
			synctest.Wait()
			if got := ids(t, r); !slices.Equal(got, want) {
				t.Errorf("keys %q, want %q; log: %s", got, want, log)
			}
		}
		first := set(t, r)
		wantAfterPoll("a")
		put(t, dir, "a.pem", pkcs8(ed())) // with the same content
		wantAfterPoll("a")
		if set(t, r) != first || log.String() != "" {
			t.Errorf("nothing has changed, but: %s", log)
		}
		put(t, dir, "b.pem", pkcs8(p256()))
		wantAfterPoll("b", "a")
		if !strings.Contains(log.String(), `msg="keys read"`) || !strings.Contains(log.String(), "keys=2 signing=b") {
			t.Errorf("log: %s", log)
		}
		remove(t, dir, "b.pem")
		wantAfterPoll("a")
		put(t, dir, "a.pem", pkcs8(p256())) // another key with the same name
		was := set(t, r)
		wantAfterPoll("a")
		if set(t, r) == was {
			t.Error("the old key is still accepted")
		}
		remove(t, dir, "a.pem")
		wantAfterPoll()
		if !strings.Contains(log.String(), "no key in "+dir+" can sign now") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestS6_BrokenFolderKeepsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folderOf(t, "a.pem", pkcs8(ed()), "b.pem", pkcs8(p256()))
		r, log := open(t, dir)
		watch(t, r)
		wantKept := func(faults int, want ...string) {
			t.Helper()
			for range 3 {
				time.Sleep(defaultPoll)
				synctest.Wait()
			}
			if got := ids(t, r); !slices.Equal(got, want) {
				t.Errorf("keys %q, want %q", got, want)
			}
			if got := strings.Count(log.String(), "the keys stay as they were"); got != faults {
				t.Errorf("%d errors logged, want %d: %s", got, faults, log)
			}
		}
		was := set(t, r)
		put(t, dir, "c.pem", "not-a-key")
		put(t, dir, "d.pem", pkcs8(rsaKey()))
		wantKept(1, "b", "a")
		if set(t, r) != was || strings.Contains(log.String(), "not-a-key") {
			t.Errorf("log: %s", log)
		}
		put(t, dir, "a.pem", "half of")
		wantKept(2, "b", "a")
		remove(t, dir, "b.pem") // a compromised key: its tokens are refused even now
		wantKept(2, "a")
		put(t, dir, "a.pem", pkcs8(ed()))
		remove(t, dir, "c.pem")
		wantKept(2, "d", "a")
		if !strings.Contains(log.String(), "in order again") {
			t.Errorf("log: %s", log)
		}
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		wantKept(3, "d", "a")
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		wantKept(3, "d", "a")
	})
}

// TestWatchFollowsMounts checks that a mounted secret may be replaced as a
// whole.
func TestWatchFollowsMounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		mount := func(version, content string) {
			t.Helper()
			err := errors.Join(os.Mkdir(dir+"/.."+version, 0o700), os.WriteFile(dir+"/.."+version+"/a.pem", []byte(content), 0o600),
				os.Symlink(".."+version, dir+"/..data_tmp"), os.Rename(dir+"/..data_tmp", dir+"/..data"))
			if err != nil {
				t.Fatal(err)
			}
		}
		mount("1", pkcs8(ed()))
		if err := os.Symlink("..data/a.pem", dir+"/a.pem"); err != nil {
			t.Fatal(err)
		}
		r, _ := open(t, dir)
		watch(t, r)
		was := set(t, r)
		mount("2", pkcs8(p256()))
		time.Sleep(defaultPoll)
		synctest.Wait()
		if s := set(t, r); s == was || len(s.Keys()) != 1 || s.Keys()[0].Algorithm() != token.ES256 {
			t.Errorf("keys %v", s.Keys())
		}
	})
}

package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/filelock"
	"wsauth/token"
)

// A login is an issued token, with the last time at which it is valid.
type login struct {
	raw  string
	last time.Time
}

// TestPlannedRotationOverWeeks checks that neither of two nodes refuses a token
// before the token expires, or uses a key after the key has expired. The nodes
// sign and verify with one folder, which they read at different times. A key is
// replaced every week.
func TestPlannedRotationOverWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			weeks = 9
			step  = 3 * time.Hour
		)
		dir := t.TempDir()
		if made, err := First(t.Context(), dir, token.EdDSA); !made || err != nil {
			t.Fatal(made, err)
		}
		var nodes nodes
		for _, poll := range []time.Duration{17 * time.Minute, 29 * time.Minute} {
			nodes = append(nodes, newNode(t, dir, poll))
		}
		var logins []login
		kids := map[string]bool{}
		start := time.Now()
		for i := 0; time.Since(start) < weeks*7*24*time.Hour; i++ {
			if i > 0 && i%int(7*24*time.Hour/step) == 0 {
				if _, _, err := Rotate(t.Context(), dir, RotateOptions{Algorithm: token.EdDSA}); err != nil {
					t.Fatal(err)
				}
				if _, err := Prune(t.Context(), dir, false); err != nil {
					t.Fatal(err)
				}
			}
			by := nodes[i%2]
			for _, issue := range []func(string, token.Options) (*token.Token, error){by.issuer.Access, by.issuer.Refresh} {
				issued := must(issue("ada", token.Options{}))
				logins = append(logins, login{issued.Raw, issued.Claims.ExpiresAt.Add(-1)})
			}
			kids[signer(by.ring)] = true
			next := time.Now().Add(step)
			for _, l := range dueBefore(logins, next) { // those that expire in this step, at their last moment
				time.Sleep(time.Until(l.last))
				nodes.checkAll(t, l.raw, true)
				time.Sleep(time.Nanosecond)
				nodes.checkAll(t, l.raw, false)
			}
			logins = slices.DeleteFunc(logins, func(l login) bool { return l.last.Before(next) })
			for range 5 {
				nodes.checkAll(t, logins[rand.N(len(logins))].raw, true)
			}
			time.Sleep(time.Until(next))
			if a, b := ids(t, nodes[0].ring), ids(t, nodes[1].ring); !slices.Equal(a, b) {
				t.Fatalf("step %d: one node has %q, the other %q", i, a, b)
			}
		}
		if len(kids) != weeks {
			t.Errorf("%d keys signed, want one a week: %d", len(kids), weeks)
		}
		// A month after the last rotation, one key is left.
		time.Sleep(DefaultOverlap + DefaultLead)
		for _, n := range nodes {
			if got := ids(t, n.ring); len(got) != 1 {
				t.Errorf("keys %q, want the newest alone", got)
			}
		}
	})
}

// A node signs and verifies with a folder that it watches.
type node struct {
	ring     *Ring
	issuer   *token.Issuer
	verifier *token.Verifier
}

func newNode(t *testing.T, dir string, poll time.Duration) node {
	t.Helper()
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.poll = poll
	watch(t, r)
	return node{r, must(token.NewIssuer(token.IssuerConfig{Key: r})), must(token.NewVerifier(token.VerifierConfig{Keys: r}))}
}

type nodes []node

// checkAll checks that every node accepts a token or, if want is false, refuses
// it.
func (ns nodes) checkAll(t *testing.T, raw string, want bool) {
	t.Helper()
	for i, n := range ns {
		if _, err := n.verifier.Verify(t.Context(), raw); (err == nil) != want || !want && !errors.Is(err, token.ErrSignature) && !errors.Is(err, token.ErrExpired) {
			t.Fatalf("%v after the start, node %d: %v, want accepted: %v", time.Now(), i, err, want)
		}
	}
}

// dueBefore returns the logins whose last moment is before then, in order.
func dueBefore(logins []login, then time.Time) []login {
	due := slices.DeleteFunc(slices.Clone(logins), func(l login) bool { return !l.last.Before(then) })
	slices.SortFunc(due, func(a, b login) int { return a.last.Compare(b.last) })
	return due
}

// TestS5_NoTokenOutlivesItsKey checks that a token whose exp is later than the
// expiry of its key is valid only until the key expires.
func TestS5_NoTokenOutlivesItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if _, err := First(t.Context(), dir, token.ES256); err != nil {
			t.Fatal(err)
		}
		ns := nodes{newNode(t, dir, time.Second), newNode(t, dir, 3*time.Second)}
		old := must(ns[0].issuer.Refresh("ada", token.Options{})).Raw
		made, retired, err := Rotate(t.Context(), dir, RotateOptions{Lead: time.Minute, Overlap: time.Hour})
		if err != nil || len(retired) != 1 || !retired[0].Expires.Equal(time.Now().Add(time.Minute+time.Hour)) {
			t.Fatalf("got %+v, %+v, %v", made, retired, err)
		}
		time.Sleep(time.Minute - 1)
		if signer(ns[0].ring) == made.Key.ID() {
			t.Error("the new key signs before its lead is over")
		}
		time.Sleep(time.Nanosecond)
		if signer(ns[0].ring) != made.Key.ID() || signer(ns[1].ring) != made.Key.ID() {
			t.Error("the new key does not sign when its lead is over")
		}
		time.Sleep(time.Hour - 1)
		ns.checkAll(t, old, true)
		time.Sleep(time.Nanosecond)
		ns.checkAll(t, old, false)
	})
}

func TestRotateRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		public := string(must(must(token.GenerateKey(token.ES256)).PublicPEM()))
		dir := folderOf(t,
			"raw.hs256", strong,
			"none.pem", "Mine.\n"+pkcs8(ed()),
			"soon.jwk", jwkOf(token.ES256, start.Add(-time.Hour), start.Add(time.Hour)),
			"late.jwk", jwkOf(token.ES256, start.Add(-time.Minute), start.Add(10000*time.Hour)),
			"next.jwk", jwkOf(token.ES256, start.Add(2*time.Hour), time.Time{}),
			"theirs.pem", public)
		expires := start.Add(DefaultLead + DefaultOverlap)
		made, retired, err := Rotate(t.Context(), dir, RotateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if e := made; e.Key.Algorithm() != token.ES256 || !e.NotBefore.Equal(start.Add(time.Hour)) || !e.Expires.IsZero() {
			t.Errorf("the new key is %+v", e)
		}
		if len(retired) != 3 {
			t.Errorf("retired: %+v", retired)
		}
		want := map[string]time.Time{
			"raw.jwk": expires, "none.pem": expires, "late.jwk": expires, "soon.jwk": start.Add(time.Hour),
			"next.jwk": {}, "theirs.pem": {}, made.File: {},
		}
		list := must(List(dir))
		if len(list) != len(want) {
			t.Errorf("the folder holds %+v", list)
		}
		for _, e := range list {
			if until, ok := want[e.File]; !ok || !e.Expires.Equal(until) {
				t.Errorf("%s expires %v, want %v", e.File, e.Expires, until)
			}
			if info := must(os.Stat(filepath.Join(dir, e.File))); info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", e.File, info.Mode())
			}
		}
		if left := must(os.ReadDir(dir)); len(left) != len(want) {
			t.Errorf("the folder holds %v: something was left behind", left)
		}
		again, retiredAgain, err := Rotate(t.Context(), dir, RotateOptions{Lead: -1, Overlap: time.Hour})
		if err != nil || !again.NotBefore.Equal(start) || len(retiredAgain) != 3 {
			t.Errorf("a rotation at once: %+v, %+v, %v", again, retiredAgain, err)
		}
		if _, _, err := Rotate(t.Context(), dir, RotateOptions{Overlap: -time.Hour}); err == nil || !strings.Contains(err.Error(), "the overlap is shorter than a second") {
			t.Errorf("a negative overlap: %v", err)
		}
		if _, _, err := Rotate(t.Context(), dir, RotateOptions{Algorithm: "none"}); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("an unknown algorithm: %v", err)
		}
	})
}

// TestRotateLeavesNoGap checks that a new key waits only while another can
// sign, so that at any time some key can sign.
func TestRotateLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for name, tt := range map[string]struct {
			from, until []time.Duration // of the existing keys
			want        time.Duration
		}{
			"dies within the lead":           {[]time.Duration{0}, []time.Duration{30 * time.Minute}, 30 * time.Minute},
			"dies at its end":                {[]time.Duration{0}, []time.Duration{time.Hour}, time.Hour},
			"the next follows":               {[]time.Duration{0, 20 * time.Minute}, []time.Duration{30 * time.Minute, 0}, time.Hour},
			"an older one outlives it":       {[]time.Duration{-2 * time.Minute, -time.Minute}, []time.Duration{50 * time.Minute, 30 * time.Minute}, 50 * time.Minute},
			"the next comes too late":        {[]time.Duration{0, 40 * time.Minute}, []time.Duration{30 * time.Minute, 0}, 30 * time.Minute},
			"none signs before the next one": {[]time.Duration{40 * time.Minute}, []time.Duration{0}, 0},
		} {
			dir := t.TempDir()
			for i, from := range tt.from {
				expires := start.Add(tt.until[i])
				if tt.until[i] == 0 {
					expires = time.Time{}
				}
				put(t, dir, fmt.Sprintf("%d.jwk", i), jwkOf(token.ES256, start.Add(from), expires))
			}
			made, _, err := Rotate(t.Context(), dir, RotateOptions{})
			if err != nil || made.NotBefore.Sub(start) != tt.want {
				t.Errorf("%s: signs after %v, %v; want %v", name, made.NotBefore.Sub(start), err, tt.want)
			}
		}
	})
}

func TestGenerate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		dir := filepath.Join(t.TempDir(), "a", "keys")
		first, err := Generate(t.Context(), dir, GenerateOptions{Algorithm: token.HS256, Life: 24 * time.Hour})
		if err != nil || !first.NotBefore.Equal(start) || !first.Expires.Equal(start.Add(24*time.Hour)) {
			t.Fatalf("the first key has no lead: %+v, %v", first, err)
		}
		for i := range 3 { // at once: each is newer than the one before
			e, err := Generate(t.Context(), dir, GenerateOptions{Lead: time.Minute})
			if err != nil || !e.NotBefore.Equal(start.Add(time.Minute+time.Duration(i)*time.Second)) {
				t.Errorf("got %+v, %v", e, err)
			}
		}
		if _, err := Generate(t.Context(), dir, GenerateOptions{Life: -1}); err == nil || !strings.Contains(err.Error(), "the life of the key is negative") {
			t.Errorf("a negative life: %v", err)
		}
		if info := must(os.Stat(dir)); info.Mode().Perm() != 0o700 {
			t.Errorf("the folder has mode %v", info.Mode())
		}
		if made, err := First(t.Context(), dir, token.ES256); made || err != nil {
			t.Errorf("a first key of a folder with keys: %v, %v", made, err)
		}
		if list := must(List(dir)); len(list) != 4 {
			t.Errorf("the folder holds %v", list)
		}
		time.Sleep(24*time.Hour - 1)
		if dead, err := Prune(t.Context(), dir, false); len(dead) != 0 || err != nil {
			t.Errorf("pruned %v, %v", dead, err)
		}
		time.Sleep(time.Nanosecond)
		for _, dry := range []bool{true, false} {
			if dead, err := Prune(t.Context(), dir, dry); err != nil || len(dead) != 1 || dead[0].File != first.File {
				t.Errorf("pruned %v, %v", dead, err)
			}
		}
		if list := must(List(dir)); len(list) != 3 {
			t.Errorf("the folder holds %v", list)
		}
	})
}

func TestChangeNeedsAValidFolder(t *testing.T) {
	dir := folderOf(t, "a.pem", "hello")
	changes := map[string]func(dir string) error{
		"generate": func(dir string) error { _, err := Generate(t.Context(), dir, GenerateOptions{}); return err },
		"rotate":   func(dir string) error { _, _, err := Rotate(t.Context(), dir, RotateOptions{}); return err },
		"prune":    func(dir string) error { _, err := Prune(t.Context(), dir, false); return err },
		"dry":      func(dir string) error { _, err := Prune(t.Context(), dir, true); return err },
		"first":    func(dir string) error { _, err := First(t.Context(), dir, token.ES256); return err },
	}
	for name, f := range changes {
		if err := f(dir); err == nil || !strings.Contains(err.Error(), "a.pem") {
			t.Errorf("%s: got %v, want an error with %q", name, err, "a.pem")
		}
	}
	if got := must(os.ReadDir(dir)); len(got) != 1 {
		t.Errorf("the folder holds %v", got)
	}
	if err := changes["prune"](filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder was pruned: %v", err)
	}
	remove(t, dir, "a.pem")
	unlock := must(filelock.Lock(t.Context(), filepath.Join(dir, ".lock")))
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Generate(ctx, dir, GenerateOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a folder that is in use: %v", err)
	}
}

// TestChangesAtOnce checks that concurrent changes by many programs lose
// nothing.
func TestChangesAtOnce(t *testing.T) {
	dir := t.TempDir()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first int
	)
	for range 8 {
		wg.Go(func() {
			made, err := First(t.Context(), dir, token.EdDSA)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if made {
				first++
			}
		})
	}
	wg.Wait()
	for range 8 {
		wg.Go(func() {
			if _, _, err := Rotate(t.Context(), dir, RotateOptions{Algorithm: token.EdDSA}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list := must(List(dir))
	endless := slices.DeleteFunc(slices.Clone(list), func(e Entry) bool { return !e.Expires.IsZero() })
	if first != 1 || len(list) != 9 || len(endless) != 1 || endless[0] != list[0] {
		t.Errorf("%d first keys; the folder holds %+v", first, list)
	}
}

// TestKilledWhileASecretIsConverted checks that if a folder holds both a raw
// secret and the JWK to which it was converted, the JWK applies and Prune
// deletes both. A program that is killed in between leaves such a folder.
func TestKilledWhileASecretIsConverted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folderOf(t, "a.hs256", strong)
		r, log := open(t, dir)
		watch(t, r)
		expires := time.Now().Add(time.Hour)
		name, data, err := withExpiry(must(Parse("a.hs256", []byte(strong))), []byte(strong), expires)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, name, string(data))
		time.Sleep(defaultPoll)
		synctest.Wait()
		if list := r.Entries(); len(list) != 1 || !list[0].Expires.Equal(expires) || strings.Contains(log.String(), "ERROR") {
			t.Errorf("got %v; log: %s", list, log)
		}
		time.Sleep(time.Hour)
		if got := ids(t, r); len(got) != 0 {
			t.Errorf("keys %q after the expiry", got)
		}
		if _, err := Prune(t.Context(), dir, false); err != nil {
			t.Fatal(err)
		}
		if got := must(os.ReadDir(dir)); len(got) != 0 {
			t.Errorf("the secret is back: %v", got)
		}
	})
}

package clusterkeys

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token/keyring"
)

// settle waits until a change has reached all nodes. It returns between two
// synchronizations.
func settle() { time.Sleep(4*pollInterval + 137*time.Millisecond) }

// TestFirstNodes checks that of nodes that start a cluster at the same time,
// one generates the key, and the others take it over.
func TestFirstNodes(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			nodes := make([]*node, 4)
			var starting sync.WaitGroup
			for i := range nodes {
				nodes[i] = c.node(t)
				starting.Go(func() {
					if err := c.start(t.Context(), nodes[i]); err != nil {
						t.Error(err)
					}
				})
			}
			starting.Wait()
			if t.Failed() {
				t.FailNow()
			}
			want := nodes[0].signer()
			for _, n := range nodes {
				if got := n.accepts(t); !slices.Equal(got, []string{want}) || n.signer() != want {
					t.Errorf("%q signs, and %q are accepted, want %q", n.signer(), got, want)
				}
				n.end(t, false)
			}
		})
	}
}

// TestChanges checks that changes of one folder reach the other nodes: a new
// key, a rotation, a deleted file, a raw secret that becomes a JWK, and changes
// that were made while a node was not running.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.run(t, c.node(t)), c.run(t, c.node(t))
		first := a.signer()
		same := func(when string, want ...string) {
			t.Helper()
			slices.Sort(want)
			for _, n := range []*node{a, b} {
				if got := n.accepts(t); !slices.Equal(got, want) {
					t.Errorf("%s: %q are accepted, want %q", when, got, want)
				}
			}
			if a.signer() == "" || a.signer() != b.signer() {
				t.Errorf("%s: %q and %q sign", when, a.signer(), b.signer())
			}
		}
		second := b.generate(t)
		settle()
		same("a new key", first, second)
		if a.signer() != second {
			t.Errorf("%q signs, want %q", a.signer(), second)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "raw.hs256"), []byte("a raw secret of the test, 32 bytes or more"), 0o600); err != nil {
			t.Fatal(err)
		}
		settle()
		same("a raw secret", first, second, "raw")
		made, retired, err := keyring.Rotate(t.Context(), a.dir, keyring.RotateOptions{Lead: -1, Overlap: time.Hour})
		if err != nil || len(retired) != 3 {
			t.Fatal(retired, err)
		}
		third := made.Key.ID()
		settle()
		same("a rotation", first, second, third, "raw")
		time.Sleep(time.Hour)
		same("the end of the overlap", third)
		if dead, err := keyring.Prune(t.Context(), b.dir, false); err != nil || len(dead) != 3 {
			t.Fatal(dead, err)
		}
		settle()
		if files, err := keyring.ReadFiles(a.dir); err != nil || len(files) != 1 {
			t.Errorf("%d files after wsauth keys prune on the other node, error %v", len(files), err)
		}

		b.end(t, false)
		fourth := b.generate(t)
		fifth := a.generate(t)
		settle()
		if err := os.Remove(filepath.Join(a.dir, third+".jwk")); err != nil {
			t.Fatal(err)
		}
		settle()
		c.run(t, b)
		settle()
		same("changes while a node was not running", fourth, fifth)

		if err := os.RemoveAll(b.dir); err != nil {
			t.Fatal(err)
		}
		settle()
		same("a lost folder", fourth, fifth)
		if err := os.RemoveAll(b.dir); err != nil {
			t.Fatal(err)
		}
		sixth := b.generate(t)
		settle()
		same("another folder in its place", fourth, fifth, sixth)
		if err := os.Remove(filepath.Join(a.dir, sixth+".jwk")); err != nil {
			t.Fatal(err)
		}
		settle()
		for _, id := range []string{fourth, fifth} {
			if err := os.Remove(filepath.Join(b.dir, id+".jwk")); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		same("the deletion of all files of a folder", fourth, fifth)
		if log := b.log.String(); !strings.Contains(log, "the last keys that can sign were deleted") {
			t.Errorf("log: %s", log)
		}
	})
}

// TestSlowNode checks that a new key signs only after all live nodes have read
// it. A dead node delays the key only until its lease has ended.
func TestSlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.run(t, c.node(t)), c.run(t, c.node(t))
		first := a.signer()
		// The folder of b has a file that is not usable, so b cannot follow.
		broken := filepath.Join(b.dir, "broken.jwk")
		if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		settle()
		second := a.generate(t)
		settle()
		if a.signer() != first || slices.Contains(b.accepts(t), second) {
			t.Errorf("%q signs, and %q are accepted by the other node", a.signer(), b.accepts(t))
		}
		if log := a.log.String(); !strings.Contains(log, b.lease.ID()+" has not read the key "+second) {
			t.Errorf("log: %s", log)
		}
		if err := os.Remove(broken); err != nil {
			t.Fatal(err)
		}
		settle()
		if a.signer() != second || b.signer() != second {
			t.Errorf("%q and %q sign, want %q", a.signer(), b.signer(), second)
		}

		if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		settle()
		third := a.generate(t)
		settle()
		b.end(t, true)
		if a.signer() != second {
			t.Errorf("%q signs while the other node may still be alive", a.signer())
		}
		time.Sleep(time.Minute)
		if a.signer() != third {
			t.Errorf("%q signs after the other node has died, want %q", a.signer(), third)
		}
	})
}

// TestUnsharedKey checks that a node does not sign with a key that is not yet
// in the record, even if there is no other node: a node that starts would lack
// it.
func TestUnsharedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.run(t, c.node(t))
		first := a.signer()
		a.link.noWrite.Store(true)
		second := a.generate(t)
		settle()
		if a.signer() != first {
			t.Errorf("%q signs, want %q", a.signer(), first)
		}
		a.link.noWrite.Store(false)
		settle()
		if a.signer() != second {
			t.Errorf("%q signs, want %q", a.signer(), second)
		}
	})
}

// TestForeignKeys checks that a node with the keys of another server does not
// start, and that both remedies in the error message work.
func TestForeignKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.node(t)
		first := a.generate(t)
		c.run(t, a)
		if a.signer() != first {
			t.Errorf("the first node did not bring its key")
		}
		b := c.node(t)
		second := b.generate(t)
		err := c.start(t.Context(), b)
		if foreign, ok := errors.AsType[*ForeignError](err); !ok || !slices.Equal(foreign.Keys, []string{second}) || !strings.Contains(err.Error(), b.dir) {
			t.Fatalf("error %v", err)
		}
		file := filepath.Join(b.dir, second+".jwk")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// First remedy: the other nodes get the key.
		if err := os.WriteFile(filepath.Join(a.dir, second+".jwk"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		settle()
		c.run(t, b)
		if got := b.accepts(t); len(got) != 2 || !slices.Contains(got, first) {
			t.Errorf("%q are accepted", got)
		}
		// Second remedy: the node gives up its keys.
		d := c.node(t)
		d.generate(t)
		if err := c.start(t.Context(), d); err == nil {
			t.Fatal("started with foreign keys")
		}
		if err := os.RemoveAll(d.dir); err != nil {
			t.Fatal(err)
		}
		c.run(t, d)
		// A node with another secret does not start while a node runs here.
		e := c.node(t)
		e.generate(t)
		other := &cluster{store: c.store, secret: secretOf(t, "another secret, which no other node has")}
		if err := other.start(t.Context(), e); err == nil || !strings.Contains(err.Error(), "use the same cluster_secret_file on all nodes") {
			t.Errorf("error %v", err)
		}
	})
}

// TestSharedFolder checks that if nodes share the folder itself, a new key
// signs when all have read it, and a node with another folder does not start.
func TestSharedFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.secret = nil
		a, b := c.run(t, c.node(t)), c.run(t, c.node(t))
		if a.signer() == "" || a.signer() != b.signer() {
			t.Fatalf("%q and %q sign", a.signer(), b.signer())
		}
		second := a.generate(t)
		settle()
		if a.signer() != second || b.signer() != second {
			t.Errorf("%q and %q sign, want %q", a.signer(), b.signer(), second)
		}
		d := c.node(t)
		d.dir = t.TempDir()
		d.generate(t)
		if err := c.start(t.Context(), d); err == nil || !strings.Contains(err.Error(), "none of the keys of the node") {
			t.Errorf("error %v", err)
		}
	})
}

// TestLostRecord checks that the nodes write the record back after the store
// has lost it or the latest changes of it, with the keys of all.
func TestLostRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.run(t, c.node(t)), c.run(t, c.node(t))
		first := a.signer()
		name := a.keys.recordName()
		old, err := c.store.ReadRecord(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		second := a.generate(t)
		settle()
		if err := os.Remove(filepath.Join(b.dir, first+".jwk")); err != nil {
			t.Fatal(err)
		}
		settle()
		for what, fill := range map[string]func(s *memory.Store) error{
			"everything":         func(*memory.Store) error { return nil },
			"the latest changes": func(s *memory.Store) error { return s.WriteRecord(t.Context(), name, old) },
		} {
			lossy := memory.New(store.Limits{})
			if err := fill(lossy); err != nil {
				t.Fatal(err)
			}
			a.link.cut.Store(true)
			b.link.cut.Store(true)
			time.Sleep(time.Minute)
			a.link.Store, b.link.Store = lossy, lossy
			a.link.cut.Store(false)
			b.link.cut.Store(false)
			time.Sleep(time.Minute)
			d := &node{dir: filepath.Join(t.TempDir(), "keys"), link: &link{Store: lossy}, log: a.log}
			if err := c.start(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			for _, n := range []*node{a, b, d} {
				if got := n.accepts(t); !slices.Equal(got, []string{second}) || n.signer() != second {
					t.Errorf("%s was lost: %q are accepted and %q signs, want %q", what, got, n.signer(), second)
				}
			}
			d.end(t, false)
		}
	})
}

// TestNewSecret checks that nodes that restart with another secret, one after
// the other, keep their keys.
func TestNewSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.run(t, c.node(t)), c.run(t, c.node(t))
		first := a.signer()
		c.secret = secretOf(t, "the secret that replaces the one of the test")
		for _, n := range []*node{a, b} {
			n.end(t, false)
			c.run(t, n)
			if n.signer() != first {
				t.Errorf("%q signs, want %q", n.signer(), first)
			}
		}
		second := b.generate(t)
		settle()
		if a.signer() != second {
			t.Errorf("%q signs, want %q", a.signer(), second)
		}
	})
}

// TestTamperedRecord checks that a record that was not sealed with the secret,
// for this name and version, has no effect on a running node, and that a node
// does not start with it.
func TestTamperedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.run(t, c.node(t))
		first := a.signer()
		name := a.keys.recordName()
		r, err := c.store.ReadRecord(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(r.Value), first) {
			t.Error("the record is not encrypted")
		}
		r.Version++ // a replay
		if err := c.store.WriteRecord(t.Context(), name, r); err != nil {
			t.Fatal(err)
		}
		settle()
		if a.signer() != first {
			t.Errorf("%q signs, want %q", a.signer(), first)
		}
		if err := c.start(t.Context(), c.node(t)); !errors.Is(err, errSealed) {
			t.Errorf("error %v", err)
		}
	})
}

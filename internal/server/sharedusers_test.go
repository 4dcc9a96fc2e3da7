package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/nodelease"
)

// fakeNodes are this node and another one.
type fakeNodes struct {
	own, other []string // hashes of user files
	err        error
}

func (n *fakeNodes) PublishUsers(_ context.Context, hashes []string) error {
	n.own = hashes
	return n.err
}

func (n *fakeNodes) List(context.Context) ([]nodelease.Node, error) {
	return []nodelease.Node{{ID: "own", Users: n.own}, {ID: "other", Users: n.other}, {ID: "library"}}, n.err
}

// TestSharedUsers checks when a changed user file may take effect, and what the
// other nodes see until then.
func TestSharedUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	write := func(text string) (hash string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hash, err := hashFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	first := write("first")
	nodes := &fakeNodes{other: []string{first}}
	u, err := newSharedUsers(t.Context(), file, nodes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, refusal string, waiting bool, published ...string) {
		t.Helper()
		got := u.refusal(t.Context())
		if (got == "") != (refusal == "") || !strings.Contains(got, refusal) || u.waiting != waiting || !slices.Equal(nodes.own, published) {
			t.Errorf("%s: refused with %q, waiting %t, published %q, want %q, %t, %q", when, got, u.waiting, nodes.own, refusal, waiting, published)
		}
	}
	check("unchanged", "", false, first)
	second := write("second")
	check("changed", "the node other has not read the same file", true, first, second)
	write("first")
	check("changed back", "", false, first)
	write("second")
	nodes.err = errors.New("unreachable")
	check("without the store", "unreachable", true, first, second)
	nodes.err = nil
	nodes.other = []string{first, second}
	check("when the other has read it, too", "", false, first, second)
	u.applied(t.Context())
	check("in effect", "", false, second)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("without a file", "", false, second)
}

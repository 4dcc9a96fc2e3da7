package keyring

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"wsauth/token"
)

// TestReplaceFiles checks that ReplaceFiles gives a folder the contents of
// another, and fails if the folder was changed in the meantime.
func TestReplaceFiles(t *testing.T) {
	from := folderOf(t, "a.jwk", jwkOf(token.ES256, time.Time{}, time.Time{}), "b.pem", pkcs8(ed()), "README", "hello")
	files, err := ReadFiles(from)
	if names := slices.Sorted(maps.Keys(files)); err != nil || !slices.Equal(names, []string{"a.jwk", "b.pem"}) {
		t.Fatal(names, err)
	}
	to := filepath.Join(t.TempDir(), "keys")
	if err := ReplaceFiles(t.Context(), to, nil, files); err != nil {
		t.Fatal(err)
	}
	ring, _ := open(t, to)
	if got := ids(t, ring); len(got) != 2 {
		t.Fatalf("keys %q", got)
	}

	if err := ReplaceFiles(t.Context(), to, nil, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("with another content than before: %v", err)
	}
	for name, data := range map[string]string{"../x.jwk": string(files["a.jwk"]), "x.txt": "x", "x.pem": "x", "c.jwk": string(files["a.jwk"])} {
		after := maps.Clone(files)
		after[name] = []byte(data)
		if err := ReplaceFiles(t.Context(), to, files, after); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	after := map[string][]byte{"b.pem": files["b.pem"]}
	if err := ReplaceFiles(t.Context(), to, files, after); err != nil {
		t.Fatal(err)
	}
	ring.Reload()
	if got := ids(t, ring); !slices.Equal(got, []string{"b"}) {
		t.Errorf("keys %q after a.jwk was deleted", got)
	}
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStoreFiles checks the files with the URL of a store and the secret of a
// cluster: their permissions, their contents, and that no error contains the
// password.
func TestStoreFiles(t *testing.T) {
	const password = "hunter2"
	const secret = "R3tnYWVkZ2FzZGdhZHNnYXNkZ2FzZGdhc2Rn"
	for name, tt := range map[string]struct {
		url, secret string
		mode        os.FileMode
		want        []string // in the errors, in order
	}{
		"good":           {"redis://u:" + password + "@h\n", secret + "\n", 0o600, nil},
		"bad URL":        {"http://u:" + password + "@h", secret, 0o600, []string{"store.url_file: "}},
		"short":          {"redis://h", secret[:31] + "\n", 0o600, []string{"cluster_secret_file: "}},
		"not random":     {"redis://h", strings.Repeat("secret", 10), 0o600, []string{"the secret is not random"}},
		"open to others": {"redis://h", secret, 0o644, []string{"store.url_file: ", "cluster_secret_file: "}},
		"two lines":      {"redis://h\nredis://i", secret, 0o600, []string{"store.url_file: "}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{"store.url": tt.url, "cluster.secret": tt.secret} {
				if err := errors.Join(os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600), os.Chmod(filepath.Join(dir, file), tt.mode)); err != nil {
					t.Fatal(err)
				}
			}
			d := Parse(filepath.Join(dir, "f.yaml"), []byte("store: {url_file: store.url}\ncluster_secret_file: cluster.secret\n"))
			_, err := (&Maker{Files: true}).Make(d)
			all, _ := errors.AsType[Faults](err)
			if len(all) != len(tt.want) || err != nil && len(all) == 0 {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			for i, f := range all {
				if !strings.Contains(f.Error(), tt.want[i]) || strings.Contains(f.Error(), password) || strings.Contains(f.Error(), tt.secret[:20]) {
					t.Errorf("error %v, want %s", f, tt.want[i])
				}
			}
			if url, err := d.Settings.Store.ReadURL(); tt.want == nil && (err != nil || url != strings.TrimSpace(tt.url)) {
				t.Errorf("the URL is %q, error %v", url, err)
			}
		})
	}
}

// TestStorePassword checks that a URL with a password is accepted only from the
// environment, and that a change of the store requires a restart.
func TestStorePassword(t *testing.T) {
	for source, want := range map[string]bool{"--store": false, "WSAUTH_STORE": true} {
		d := Parse("f.yaml", []byte("store: redis://h\nkeys: keys\n"))
		before := d.Settings
		d.Settings.Store.URL = "redis://:hunter2@h"
		d.Override("store.url", source)
		_, err := (&Maker{}).Make(d)
		if (err == nil) != want || err != nil && (!strings.HasPrefix(err.Error(), source+": contains a password") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: error %v", source, err)
		}
		d.Settings.ClusterSecretFile = "x"
		if keys := NeedRestart(before, d.Settings); !slices.Equal(keys, []string{"store.url", "cluster_secret_file"}) {
			t.Errorf("a restart is needed for %q", keys)
		}
	}
}

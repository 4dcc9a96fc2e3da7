package certfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write writes a new certificate and its key to the folder, and returns the
// certificate.
func write(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "c.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	put(t, filepath.Join(dir, "k.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return der
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload checks that a pair is loaded completely or not at all, and that
// errors never show the key.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	first := write(t, dir)
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	p, err := Open(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	wantInUse := func(what string, want []byte) {
		t.Helper()
		got, err := p.Get(nil)
		if err != nil || string(got.Certificate[0]) != string(want) || string(p.Leaf().Raw) != string(want) {
			t.Errorf("%s: another certificate, %v", what, err)
		}
	}
	wantInUse("at first", first)
	second := write(t, dir)
	wantInUse("before Reload", first)
	if err := p.Reload(); err != nil {
		t.Error(err)
	}
	wantInUse("renewed", second)
	chain, private := mustRead(t, cert), mustRead(t, key)
	for _, tt := range []struct {
		what, want string
		cert, key  []byte
	}{
		{"half renewed", "does not match", chainOf(t), private},
		{"no certificate", "c.pem", []byte("none"), private},
		{"no key", "holds no private key", chain, []byte("secret-text")},
		{"the certificate for a key", "k.pem", chain, chain},
		{"not a key", "k.pem", chain, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRleHQ=\n-----END PRIVATE KEY-----\n")},
		{"longer than any", "longer than 1 MiB", append(chain, make([]byte, maxChain)...), private},
		{"empty", "empty", chain, nil},
		{"cut off", "is cut off", append(slices.Clone(chain), chain[:len(chain)/2]...), private},
	} {
		put(t, cert, tt.cert)
		put(t, key, tt.key)
		err := p.Reload()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.want)
		} else if strings.Contains(err.Error(), "secret-text") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error shows the key: %v", tt.what, err)
		}
		wantInUse(tt.what, second)
	}
	if _, err := Open(filepath.Join(dir, "none.pem"), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// chainOf returns the certificate of another pair.
func chainOf(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	write(t, dir)
	return mustRead(t, filepath.Join(dir, "c.pem"))
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

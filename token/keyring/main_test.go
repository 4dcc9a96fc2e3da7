package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/wstest"
	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// folderOf returns a folder with these files: names and contents in turn.
func folderOf(t testing.TB, content ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(content); i += 2 {
		put(t, dir, content[i], content[i+1])
	}
	return dir
}

// put writes a file in one step, as editors do.
func put(t testing.TB, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, ".tmp")
	if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, filepath.Join(dir, name))); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// jwkOf returns a file with a new key, with those dates that are not zero.
func jwkOf(alg token.Algorithm, notBefore, expires time.Time) string {
	return string(format(Entry{Key: must(token.GenerateKey(alg)), NotBefore: notBefore, Expires: expires}))
}

// Keys that take long to generate.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ed     = sync.OnceValue(func() ed25519.PrivateKey { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
)

func pkcs8(key any) string {
	return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// open opens a ring and keeps its log.
func open(t testing.TB, dir string) (*Ring, *wstest.Log) {
	t.Helper()
	log := &wstest.Log{}
	r, err := Open(dir, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return r, log
}

// set returns the current keys.
func set(t testing.TB, r *Ring) *token.KeySet {
	t.Helper()
	s, err := r.KeySet(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ids returns the IDs of the current keys, newest first.
func ids(t testing.TB, r *Ring) (list []string) {
	t.Helper()
	for _, k := range set(t, r).Keys() {
		list = append(list, k.ID())
	}
	return list
}

// signer returns the ID of the key that signs now, or "".
func signer(r *Ring) string {
	key, err := r.SigningKey()
	if err != nil {
		return ""
	}
	return key.ID()
}

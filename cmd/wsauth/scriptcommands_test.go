package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"
)

// startBackend starts a server without authentication. On a socket it greets
// the user in X-User and then echoes; it answers other requests with that
// name.
func startBackend(ts *testscript.TestScript, _ bool, _ []string) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprintln(w, "hello", r.Header.Get("X-User"))
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		message := []byte("hello " + r.Header.Get("X-User"))
		for kind := websocket.MessageText; err == nil; kind, message, err = conn.Read(r.Context()) {
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	ts.Defer(b.Close)
	ts.Setenv("BACKEND", b.URL)
}

// get requests a page and checks the status.
func (c *client) get(ctx context.Context, args []string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+args[0], nil)
	if err != nil {
		return err
	}
	if c.access != "" {
		req.Header.Set("Authorization", "Bearer "+c.access)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[1] {
		return fmt.Errorf("%s: %s, want %s", args[0], resp.Status, args[1])
	}
	return nil
}

// readme writes README.md and, as wsauth.yaml, the configuration in it. It
// replaces the addresses: the server listens on a free port, and the upstream
// is the script's backend.
func readme(ts *testscript.TestScript, _ bool, _ []string) {
	// The test runs in the folder of the package.
	page, err := os.ReadFile("../../README.md")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("README.md"), page, 0o600))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 1 {
		ts.Fatalf("README.md has %d files, want one", len(blocks))
	}
	file := blocks[0][1]
	for _, address := range []struct{ old, now string }{
		{"listen: 127.0.0.1:8000\n", "listen: 127.0.0.1:0\n"},
		{"upstream: http://127.0.0.1:9000\n", "upstream: " + ts.Getenv("BACKEND") + "\n"},
	} {
		if !strings.Contains(file, address.old) {
			ts.Fatalf("the file has no %q", address.old)
		}
		file = strings.ReplaceAll(file, address.old, address.now)
	}
	ts.Check(os.WriteFile(ts.MkAbs("wsauth.yaml"), []byte(file), 0o600))
}

// newHTTPClient returns a client that trusts the certificates of a script.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// makeCertificate writes NAME.crt and NAME.key for a server called NAME on
// this machine. The clients of the script trust the certificate.
func makeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{args[0]}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	theServer(ts).roots.AppendCertsFromPEM(chain)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".crt"), chain, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// shows checks that the server has the certificate NAME.crt.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := tls.Dial("tcp", ts.Getenv("ADDR"), &tls.Config{RootCAs: theServer(ts).roots})
	ts.Check(err)
	defer conn.Close()
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0] + ".crt")))
	if got := conn.ConnectionState().PeerCertificates[0]; !bytes.Equal(got.Raw, block.Bytes) {
		ts.Fatalf("the server has the certificate of %s, want that of %s", got.DNSNames, args[0])
	}
}

var metricsOf = regexp.MustCompile(`metrics=(\S+)`)

// metrics checks that the server exports a metric with the given text.
func metrics(ts *testscript.TestScript, absent bool, args []string) {
	found := metricsOf.FindStringSubmatch(theServer(ts).log.String())
	if found == nil {
		ts.Fatalf("the log has no address of metrics")
	}
	resp, err := http.Get(found[1])
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK || strings.Contains(string(text), args[0]) == absent {
		ts.Fatalf("%s: got %s", resp.Status, text)
	}
}

// oldFormat converts a store to the format without checksums.
func oldFormat(ts *testscript.TestScript, _ bool, args []string) {
	const checksum = 8 // bytes at the end of each value
	db, err := bbolt.Open(ts.MkAbs(args[0]), 0o600, &bbolt.Options{NoFreelistSync: true})
	ts.Check(err)
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			var keys, values [][]byte
			err := b.ForEach(func(key, value []byte) error {
				keys = append(keys, bytes.Clone(key))
				values = append(values, bytes.Clone(value[:len(value)-checksum]))
				return nil
			})
			for i, key := range keys {
				err = errors.Join(err, b.Put(key, values[i]))
			}
			return err
		})
	})
	ts.Check(err)
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		return errors.Join(meta.Delete([]byte("seal")), meta.Put([]byte("format"), []byte("wsauth store 1")))
	})
	ts.Check(errors.Join(err, db.Close()))
}

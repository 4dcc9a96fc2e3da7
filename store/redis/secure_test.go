package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
)

// permissions are the ones that the package documentation lists.
var permissions = []string{"resetchannels", "-@all", "+@connection", "+evalsha", "+script|load", "+info", "+time", "+wait", "+cluster|slots", "+cluster|shards", "+role", "+@read", "+@write"}

// TestPermissions checks that the documented permissions are enough for each
// method, and that the user cannot reach other keys.
func TestPermissions(t *testing.T) {
	server := startServer(t)
	c := server.config()
	c.Username, c.Password = "wsauth", "p"
	server.do(t, append([]string{"ACL", "SETUSER", "wsauth", "on", ">p", "~" + c.Prefix + ":*"}, permissions...)...)
	documentation, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, permission := range permissions[2:] {
		if !strings.Contains(string(documentation), permission) {
			t.Errorf("doc.go does not name %s", permission)
		}
	}
	s := mustOpen(t, c)
	for name, call := range calls(s) {
		if err := call(t.Context()); err != nil && (strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "ERR")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), page.Next); err != nil { // for a beat
		t.Error(err)
	}
	c.Prefix = "other"
	if other, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Open with another prefix: %v, %v", other, err)
	}
}

// TestTLS checks connections with TLS, and that a server without the right
// certificate is refused.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificateFile, keyFile := write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private)
	server := startServer(t, "--tls-cert-file", certificateFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certificateFile, "--tls-auth-clients", "no")
	c, err := ParseURL("rediss://" + server.address)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v, %v", s, err)
	}
	c.TLS.RootCAs = x509.NewCertPool()
	c.TLS.RootCAs.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	s := mustOpen(t, c)
	if err := s.Revoke(t.Context(), inAnHour("a")); err != nil {
		t.Error(err)
	}
	c.TLS = nil
	if s, err := Open(t.Context(), c); err == nil {
		t.Errorf("without TLS: %v, %v", s, err)
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "other.example", RootCAs: newTLS().RootCAs}
	if s, err := Open(t.Context(), c); err == nil {
		t.Errorf("another name: %v, %v", s, err)
	}
}

// A proxy forwards connections to a server. It can drop what the server sends
// on some of them, without closing any.
type proxy struct {
	listener net.Listener
	target   string
	swallow  atomic.Value // a string: drop answers after a client has sent it; "" drops all

	mu    sync.Mutex
	conns []net.Conn
	open  sync.WaitGroup
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target}
	p.swallow.Store("never sent")
	p.open.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.open.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		var swallows atomic.Bool
		p.open.Go(func() {
			copyData(server, client, func(data string) bool {
				swallows.Store(swallows.Load() || strings.Contains(data, p.swallow.Load().(string)))
				return true
			})
		})
		p.open.Go(func() {
			copyData(client, server, func(string) bool {
				return !swallows.Load() && p.swallow.Load() != ""
			})
		})
	}
}

// copyData copies what filter accepts, until a connection is closed.
func copyData(to, from net.Conn, filter func(data string) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if filter(string(buffer[:n])) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

// TestBlackHole checks D3: calls fail in time while the network drops all
// answers, and the store works again afterwards.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	p := startProxy(t, sharedServer(t).address)
	s := mustOpen(t, Config{Addresses: []string{p.listener.Addr().String()}, Prefix: newPrefix()})
	p.swallow.Store("")
	for range 2 {
		wantFailures(t, s)
	}
	p.swallow.Store("never sent")
	eventually(t, func() error { return s.Revoke(t.Context(), inAnHour("a")) })
}

// TestReaderHangs checks D12: readers see new entries even if the connection
// that waits for them is dead while all others work.
func TestReaderHangs(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	p := startProxy(t, server.address)
	c := Config{Addresses: []string{p.listener.Addr().String()}, Prefix: newPrefix()}
	reader := mustOpen(t, c)
	c.Addresses = []string{server.address}
	writer := mustOpen(t, c)
	p.swallow.Store("XREAD")
	page, err := reader.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		read := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for {
				if err := reader.Wait(ctx, page.Next); err != nil {
					read <- err
					return
				}
				var err error
				if page, err = reader.Read(ctx, page.Next); err != nil || len(page.Revocations) > 0 {
					read <- err
					return
				}
			}
		}()
		time.Sleep(100 * time.Millisecond) // until it waits
		started := time.Now()
		if err := writer.Revoke(t.Context(), inAnHour(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil || len(page.Revocations) != 1 || time.Since(started) > 5*time.Second {
			t.Errorf("%v, %v after %v", page, err, time.Since(started))
		}
	}
	if _, err := reader.Read(t.Context(), store.Cursor{Epoch: "x", Sequence: 1}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Read: %v", err)
	}
}

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// newHTTPClient is a client that believes the certificates of a script.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// makeCertificate writes NAME.crt and NAME.key, of a server called NAME on
// this machine, which the clients of the script believe.
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

// shows wants the server to have the certificate NAME.crt.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := tls.Dial("tcp", ts.Getenv("ADDR"), &tls.Config{RootCAs: theServer(ts).roots})
	ts.Check(err)
	defer conn.Close()
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0] + ".crt")))
	if got := conn.ConnectionState().PeerCertificates[0]; !bytes.Equal(got.Raw, block.Bytes) {
		ts.Fatalf("it shows the certificate of %s, want that of %s", got.DNSNames, args[0])
	}
}

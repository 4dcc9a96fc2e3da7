// Package certfile provides a TLS certificate from files that may be replaced
// while the server runs.
package certfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"wsauth/internal/keyfile"
)

// maxChain is the maximum size of a certificate file.
const maxChain = 1 << 20

// A Pair is a certificate and its private key, each in a file. It is safe for
// concurrent use.
type Pair struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

// Open reads both files, in PEM. The certificate file contains the certificate
// of the server followed by intermediate certificates. The key file must be
// accessible only to its owner; see [keyfile.ReadFile]. Errors never contain
// parts of the key.
func Open(cert, key string) (*Pair, error) {
	p := &Pair{cert: cert, key: key}
	return p, p.Reload()
}

// Reload reads the files again. If it fails, for example because only one of
// them has been replaced so far, the current certificate remains in use.
func (p *Pair) Reload() error {
	chain, err := readChain(p.cert)
	if err != nil {
		return err
	}
	key, err := keyfile.ReadFile(p.key)
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(key); block == nil {
		return fmt.Errorf("%s holds no private key in PEM form", p.key)
	}
	if isCutOff(chain) {
		return fmt.Errorf("%s is cut off: its last block has no end", p.cert)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", p.cert, p.key, err)
	}
	p.current.Store(&pair)
	return nil
}

// isCutOff reports whether chain ends with an incomplete PEM block, as in a
// file that is still being written. [tls.X509KeyPair] would ignore it.
func isCutOff(chain []byte) bool {
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		chain = rest
	}
	return bytes.Contains(chain, []byte("-----BEGIN"))
}

func readChain(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	chain, err := io.ReadAll(io.LimitReader(f, maxChain+1))
	switch {
	case err != nil:
		return nil, err
	case len(chain) > maxChain:
		return nil, errors.New(path + " is longer than 1 MiB, so it holds no certificates")
	}
	return chain, nil
}

// Get implements [tls.Config.GetCertificate].
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil }

// Leaf returns the current certificate of the server.
func (p *Pair) Leaf() *x509.Certificate { return p.current.Load().Leaf }

// Package certfile serves TLS with a certificate whose files are replaced while the server runs, as those who renew certificates do.
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

// maxChain is the longest file of certificates that is read.
const maxChain = 1 << 20

// A Pair is a certificate and its private key, each in a file. It is safe for concurrent use.
type Pair struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

// Open reads the files, in PEM form: in the first the server's certificate and then those that vouch for it, in the second the private
// key, which nobody but its owner may read; see [keyfile.ReadFile]. No error holds anything of the key.
func Open(cert, key string) (*Pair, error) {
	p := &Pair{cert: cert, key: key}
	return p, p.Reload()
}

// Reload reads the files anew. With an error everything stays as it was, such as while only one of the two has been replaced.
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

// isCutOff reports whether something begins after the last whole block of PEM,
// as in a file that is still being written. [tls.X509KeyPair] would skip it.
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

// Get is for [tls.Config.GetCertificate].
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil }

// Leaf is the server's certificate that is in use now.
func (p *Pair) Leaf() *x509.Certificate { return p.current.Load().Leaf }

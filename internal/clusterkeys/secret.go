package clusterkeys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"wsauth/internal/keyfile"
)

const (
	// minSecret is the minimum length of a secret in bytes.
	minSecret = 32

	// minDistinct is the minimum number of distinct bytes of a secret. Random
	// bytes have more, even in hexadecimal; a text such as "changeme" repeated
	// has fewer.
	minDistinct = 8
)

// A Secret is the secret of a cluster. All its nodes have it, but the store
// does not.
type Secret struct{ key []byte }

// ReadSecret reads a secret from a file that only its owner can read. A line
// break at the end is not part of the secret.
func ReadSecret(path string) (*Secret, error) {
	data, err := keyfile.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := NewSecret(bytes.TrimRight(data, "\r\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// NewSecret returns the secret with these bytes, which must be random. It
// rejects short and repetitive ones.
func NewSecret(key []byte) (*Secret, error) {
	distinct := map[byte]bool{}
	for _, b := range key {
		distinct[b] = true
	}
	switch {
	case len(key) < minSecret:
		return nil, fmt.Errorf("the secret has %d bytes, and needs %d or more that are random: generate one with openssl rand -base64 32", len(key), minSecret)
	case len(distinct) < minDistinct:
		return nil, errors.New("the secret is not random: generate one with openssl rand -base64 32")
	}
	return &Secret{bytes.Clone(key)}, nil
}

// Derive returns n bytes for a purpose. Different purposes get independent
// bytes (RFC 5869).
func (s *Secret) Derive(purpose string, n int) []byte {
	key, err := hkdf.Key(sha256.New, s.key, nil, "wsauth "+purpose, n)
	if err != nil {
		panic("clusterkeys: " + err.Error()) // n is a small constant
	}
	return key
}

// id identifies the cluster. It does not disclose the secret.
func (s *Secret) id() string { return hex.EncodeToString(s.Derive("cluster id 1", 8)) }

// aead returns the cipher for records.
func (s *Secret) aead() cipher.AEAD {
	block, err := aes.NewCipher(s.Derive("cluster record 1", 32))
	if err != nil {
		panic("clusterkeys: " + err.Error()) // the length is valid
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("clusterkeys: " + err.Error())
	}
	return aead
}

// seal encrypts the value of a record. The result is valid only for this record
// and version. An attacker who can write to the store can therefore neither
// exchange records nor pass off an old one as a new one.
func (s *Secret) seal(name string, version uint64, value []byte) []byte {
	aead := s.aead()
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(value)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, value, additional(name, version))
}

// errSealed means that a record was not sealed with this secret.
var errSealed = errors.New("cannot be decrypted: somebody else has written them, or replaced them with an older version")

// open decrypts a value that seal returned.
func (s *Secret) open(name string, version uint64, sealed []byte) ([]byte, error) {
	aead := s.aead()
	if len(sealed) < aead.NonceSize() {
		return nil, errSealed
	}
	value, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], additional(name, version))
	if err != nil {
		return nil, errSealed
	}
	return value, nil
}

func additional(name string, version uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(name+"\x00"), version)
}

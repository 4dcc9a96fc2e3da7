package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxKeyBytes is the maximum size of one encoded key.
const maxKeyBytes = 64 << 10

// ParsePEM parses the only key in data: PKCS#8 ("PRIVATE KEY"), PKCS#1 ("RSA
// PRIVATE KEY", "RSA PUBLIC KEY"), SEC 1 ("EC PRIVATE KEY") or PKIX ("PUBLIC
// KEY"). If alg is empty, an EC key uses the algorithm of its curve, an
// Ed25519 key EdDSA, an RSA key RS256. Encrypted keys, several keys and more
// than 64 KiB are refused.
func ParsePEM(alg Algorithm, data []byte, opts KeyOptions) (*Key, error) {
	if len(data) > maxKeyBytes {
		return nil, errors.New("token: PEM: longer than 64 KiB")
	}
	block, rest := pem.Decode(data)
	// "openssl ecparam -genkey" writes the curve first.
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("token: PEM: no key found")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("token: PEM: more than one key")
	}
	material, err := parseDER(block)
	if err != nil {
		return nil, err
	}
	if alg == "" {
		alg = defaultAlgorithm(material)
	}
	return NewKey(alg, material, opts)
}

// defaultAlgorithm returns the algorithm that ParseJWK uses for a key of that
// type without "alg", or "".
func defaultAlgorithm(material any) Algorithm {
	curve := func(c elliptic.Curve) Algorithm {
		s, _ := suiteOnCurve(c.Params().Name)
		return s.name
	}
	switch m := material.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return RS256
	case *ecdsa.PrivateKey:
		return curve(m.Curve)
	case *ecdsa.PublicKey:
		return curve(m.Curve)
	case ed25519.PrivateKey, ed25519.PublicKey:
		return EdDSA
	}
	return ""
}

// PublicPEM returns the public half of the key as PKIX in PEM. It fails for an
// HMAC key, which has none.
func (k *Key) PublicPEM() ([]byte, error) {
	var material any
	switch m := k.public().(type) {
	case *rsaPublic:
		material = m.key
	case *ecdsaPublic:
		material = m.key
	case *ed25519Public:
		material = m.key
	default:
		return nil, fmt.Errorf("token: an %s key has no public half", k.alg)
	}
	der, err := x509.MarshalPKIXPublicKey(material)
	if err != nil {
		return nil, fmt.Errorf("token: PEM: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func parseDER(block *pem.Block) (material any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		material, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		material, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		material, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("token: PEM: cannot read a block of type %.40q", block.Type)
	}
	if err != nil {
		// The cause is not wrapped: it might quote private material.
		return nil, fmt.Errorf("token: PEM: the %s is damaged or of an unknown kind", block.Type)
	}
	return material, nil
}

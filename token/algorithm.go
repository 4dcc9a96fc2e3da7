package token

import (
	"crypto"
	"crypto/elliptic"
	_ "crypto/sha256" // registers SHA-256 with crypto.Hash
	_ "crypto/sha512" // registers SHA-384 and SHA-512 with crypto.Hash
	"slices"
)

// Algorithm is a signature algorithm, named as in the "alg" header of a token
// (RFC 7518 section 3.1, RFC 8037 section 3.1). Names are compared exactly;
// there is no "none".
type Algorithm string

// The supported algorithms.
const (
	HS256 Algorithm = "HS256" // HMAC with SHA-256
	HS384 Algorithm = "HS384" // HMAC with SHA-384
	HS512 Algorithm = "HS512" // HMAC with SHA-512
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
	RS384 Algorithm = "RS384" // RSASSA-PKCS1-v1_5 with SHA-384
	RS512 Algorithm = "RS512" // RSASSA-PKCS1-v1_5 with SHA-512
	PS256 Algorithm = "PS256" // RSASSA-PSS with SHA-256, a salt of 32 bytes
	PS384 Algorithm = "PS384" // RSASSA-PSS with SHA-384, a salt of 48 bytes
	PS512 Algorithm = "PS512" // RSASSA-PSS with SHA-512, a salt of 64 bytes
	ES256 Algorithm = "ES256" // ECDSA on P-256 with SHA-256
	ES384 Algorithm = "ES384" // ECDSA on P-384 with SHA-384
	ES512 Algorithm = "ES512" // ECDSA on P-521 with SHA-512
	EdDSA Algorithm = "EdDSA" // Ed25519

	// Ed25519 is EdDSA under the name of RFC 9864 section 2.2. Tokens and JWKs may
	// use either name; a [Key] reports EdDSA.
	Ed25519 Algorithm = "Ed25519"
)

// A family is the type of key that an algorithm needs, named as in a JWK's
// "kty".
type family string

const (
	familyHMAC    family = "oct"
	familyRSA     family = "RSA"
	familyECDSA   family = "EC"
	familyEd25519 family = "OKP"
)

// A suite describes the parameters of an Algorithm.
type suite struct {
	name   Algorithm
	family family
	hash   crypto.Hash    // 0 for EdDSA, which includes its hash
	curve  elliptic.Curve // ECDSA only
	pss    bool           // RSA only: PSS, not PKCS #1 v1.5
}

var suites = map[Algorithm]suite{
	HS256: {name: HS256, family: familyHMAC, hash: crypto.SHA256},
	HS384: {name: HS384, family: familyHMAC, hash: crypto.SHA384},
	HS512: {name: HS512, family: familyHMAC, hash: crypto.SHA512},
	RS256: {name: RS256, family: familyRSA, hash: crypto.SHA256},
	RS384: {name: RS384, family: familyRSA, hash: crypto.SHA384},
	RS512: {name: RS512, family: familyRSA, hash: crypto.SHA512},
	PS256: {name: PS256, family: familyRSA, hash: crypto.SHA256, pss: true},
	PS384: {name: PS384, family: familyRSA, hash: crypto.SHA384, pss: true},
	PS512: {name: PS512, family: familyRSA, hash: crypto.SHA512, pss: true},
	ES256: {name: ES256, family: familyECDSA, hash: crypto.SHA256, curve: elliptic.P256()},
	ES384: {name: ES384, family: familyECDSA, hash: crypto.SHA384, curve: elliptic.P384()},
	ES512: {name: ES512, family: familyECDSA, hash: crypto.SHA512, curve: elliptic.P521()},
	EdDSA: {name: EdDSA, family: familyEd25519},

	Ed25519: {name: EdDSA, family: familyEd25519},
}

// canonicalAlgorithms returns algorithms with aliases replaced by the names
// that keys use.
func canonicalAlgorithms(algorithms []Algorithm) []Algorithm {
	all := slices.Clone(algorithms)
	for i, a := range all {
		if s, known := suites[a]; known {
			all[i] = s.name
		}
	}
	return all
}

// digest hashes a signing input.
func (s suite) digest(input []byte) []byte {
	h := s.hash.New()
	h.Write(input)
	return h.Sum(nil)
}

// suiteOnCurve returns the ECDSA suite of a JWK's "crv".
func suiteOnCurve(name string) (suite, bool) {
	for _, alg := range []Algorithm{ES256, ES384, ES512} {
		if s := suites[alg]; s.curve.Params().Name == name {
			return s, true
		}
	}
	return suite{}, false
}

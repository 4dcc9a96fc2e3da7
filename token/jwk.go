package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A jwk is a JSON Web Key, with its members in the order in which we write
// them.
type jwk struct {
	Kty   family    `json:"kty"`
	Kid   string    `json:"kid,omitzero"`
	Alg   Algorithm `json:"alg,omitzero"`
	Use   string    `json:"use,omitzero"`
	Ops   []string  `json:"key_ops,omitzero"`
	Curve string    `json:"crv,omitzero"`
	X     string    `json:"x,omitzero"`
	Y     string    `json:"y,omitzero"`
	N     string    `json:"n,omitzero"`
	E     string    `json:"e,omitzero"`
	D     string    `json:"d,omitzero"`
	P     string    `json:"p,omitzero"`
	Q     string    `json:"q,omitzero"`
	DP    string    `json:"dp,omitzero"`
	DQ    string    `json:"dq,omitzero"`
	QI    string    `json:"qi,omitzero"`
	K     string    `json:"k,omitzero"`

	OtherPrimes jsontext.Value `json:"oth,omitzero"`
}

// ParseJWK parses one JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037
// section 2): kty oct, RSA, EC or OKP with Ed25519. It enforces the members
// alg, crv, use and key_ops, and ignores unknown members. An RSA private key
// must have its two primes. Data longer than 64 KiB is refused.
func ParseJWK(data []byte, opts KeyOptions) (*Key, error) {
	j, err := readJWK(data)
	if err != nil {
		return nil, err
	}
	return j.key(opts)
}

// readJWK unmarshals a JWK.
func readJWK(data []byte) (*jwk, error) {
	if len(data) > maxKeyBytes {
		return nil, errors.New("token: JWK: longer than 64 KiB")
	}
	j := new(jwk)
	if err := json.Unmarshal(data, j); err != nil {
		// The cause is not wrapped: it might quote private material.
		return nil, errors.New("token: JWK: not strict JSON, or a member has the wrong type")
	}
	return j, nil
}

// key returns the key that j describes.
func (j *jwk) key(opts KeyOptions) (*Key, error) {
	alg, err := j.algorithm(opts.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("token: JWK: %w", err)
	}
	material, err := j.material()
	if err != nil {
		return nil, fmt.Errorf("token: JWK: %w", err)
	}
	if opts.ID == "" {
		opts.ID = j.Kid
	}
	key, err := NewKey(alg, material, opts)
	if err != nil {
		return nil, err
	}
	if err := j.checkUse(key); err != nil {
		return nil, fmt.Errorf("token: JWK: %w", err)
	}
	return key, nil
}

// algorithm returns the algorithm that the JWK names, else the given one, else
// the one that follows from its type. For RSA that is RS256, the default of
// OpenID Connect.
func (j *jwk) algorithm(given Algorithm) (Algorithm, error) {
	if j.Alg != "" {
		s, ok := suites[j.Alg]
		switch {
		case given != "" && j.Alg != given && (!ok || s.name != suites[given].name):
			return "", fmt.Errorf("alg is %.20q, not %s", j.Alg, given)
		case !ok:
			return "", fmt.Errorf("alg %.20q is unknown", j.Alg)
		}
		return s.name, nil
	}
	if given != "" {
		return given, nil
	}
	switch j.Kty {
	case familyRSA:
		return RS256, nil
	case familyEd25519:
		return EdDSA, nil
	case familyECDSA:
		if s, ok := suiteOnCurve(j.Curve); ok {
			return s.name, nil
		}
	}
	return "", errors.New("alg is missing")
}

// material returns the key material in the form that NewKey takes.
func (j *jwk) material() (any, error) {
	switch j.Kty {
	case familyHMAC:
		return decode("k", j.K)
	case familyRSA:
		return j.rsa()
	case familyECDSA:
		return j.ecdsa()
	case familyEd25519:
		return j.ed25519()
	}
	return nil, fmt.Errorf("kty %.20q is unknown", j.Kty)
}

func (j *jwk) rsa() (any, error) {
	if j.OtherPrimes != nil {
		return nil, errors.New("more than two primes")
	}
	n, errN := decodeInt("n", j.N)
	e, errE := decodeInt("e", j.E)
	if err := errors.Join(errN, errE); err != nil {
		return nil, err
	}
	if e.BitLen() > 31 {
		return nil, errors.New("e is larger than 31 bits")
	}
	public := rsa.PublicKey{N: n, E: int(e.Int64())}
	if j.D == "" {
		return &public, nil
	}
	d, errD := decodeInt("d", j.D)
	p, errP := decodeInt("p", j.P)
	q, errQ := decodeInt("q", j.Q)
	if err := errors.Join(errD, errP, errQ); err != nil {
		return nil, err
	}
	return &rsa.PrivateKey{PublicKey: public, D: d, Primes: []*big.Int{p, q}}, nil
}

func (j *jwk) ecdsa() (any, error) {
	s, ok := suiteOnCurve(j.Curve)
	if !ok {
		return nil, fmt.Errorf("crv %.20q is unknown", j.Curve)
	}
	x, errX := decode("x", j.X)
	y, errY := decode("y", j.Y)
	if err := errors.Join(errX, errY); err != nil {
		return nil, err
	}
	if size := (s.curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return nil, fmt.Errorf("x and y must have %d bytes (RFC 7518 section 6.2.1.2)", size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(s.curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("x and y are not a point of the curve")
	}
	if j.D == "" {
		return public, nil
	}
	d, err := decode("d", j.D)
	if err != nil {
		return nil, err
	}
	private, err := ecdsa.ParseRawPrivateKey(s.curve, d)
	if err != nil || !private.PublicKey.Equal(public) {
		return nil, errors.New("d does not belong to x and y")
	}
	return private, nil
}

func (j *jwk) ed25519() (any, error) {
	if j.Curve != "Ed25519" {
		return nil, fmt.Errorf("crv %.20q is unknown", j.Curve)
	}
	x, err := decode("x", j.X)
	if err != nil {
		return nil, err
	}
	if j.D == "" {
		return ed25519.PublicKey(x), nil
	}
	d, err := decode("d", j.D)
	if err != nil {
		return nil, err
	}
	if len(d) != ed25519.SeedSize {
		return nil, errors.New("d does not have 32 bytes")
	}
	return ed25519.PrivateKey(append(d, x...)), nil
}

// checkUse enforces the "use" and "key_ops" of the JWK (RFC 7517 section 4.2,
// section 4.3): they must allow the key to sign, or to verify if it is a public
// key, and must not allow encryption.
func (j *jwk) checkUse(key *Key) error {
	if j.Use != "" && j.Use != "sig" {
		return fmt.Errorf("use is %.20q, not sig", j.Use)
	}
	if j.Ops == nil {
		return nil
	}
	need := "verify"
	if key.CanSign() {
		need = "sign"
	}
	for _, op := range j.Ops {
		if op != "sign" && op != "verify" {
			return errors.New("key_ops has more than sign and verify")
		}
	}
	if !slices.Contains(j.Ops, need) {
		return errors.New("key_ops lacks " + need)
	}
	return nil
}

// JWK returns the key as a JSON Web Key, including its private parts or its
// secret. To publish a key, use the JWK of its Public.
func (k *Key) JWK() []byte {
	j := k.members()
	j.Kty, j.Kid, j.Alg, j.Use = suites[k.alg].family, k.id, k.alg, "sig"
	return mustMarshal(j)
}

// thumbprint returns the JWK thumbprint of an asymmetric key (RFC 7638 section
// 3).
func (k *Key) thumbprint() string {
	j := k.public().members()
	sum := sha256.Sum256(mustMarshal(struct {
		Curve string `json:"crv,omitzero"`
		E     string `json:"e,omitzero"`
		Kty   family `json:"kty"`
		N     string `json:"n,omitzero"`
		X     string `json:"x,omitzero"`
		Y     string `json:"y,omitzero"`
	}{j.Curve, j.E, suites[k.alg].family, j.N, j.X, j.Y}))
	return encode(sum[:])
}

// mustMarshal encodes structs of strings that this package has made or
// checked.
func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("token: " + err.Error())
	}
	return data
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encodeInt(n *big.Int) string { return encode(n.Bytes()) }

func decode(name, text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(data) == 0 || len(text) != base64.RawURLEncoding.EncodedLen(len(data)) {
		return nil, errors.New(name + " is missing or not base64url")
	}
	return data, nil
}

func decodeInt(name, text string) (*big.Int, error) {
	data, err := decode(name, text)
	return new(big.Int).SetBytes(data), err
}

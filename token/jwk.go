package token

// ParseJWK reads one JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2): kty
// oct, RSA, EC or OKP with Ed25519. What the JWK says about itself must hold:
// alg, crv, use and key_ops. Any other member is ignored.
func ParseJWK(data []byte, opts KeyOptions) (*Key, error) { return nil, errTODO }

// JWK returns the key as a JSON Web Key, with its private parts or secret when
// it has them. To publish a key, take the JWK of its Public.
func (k *Key) JWK() []byte { return nil }

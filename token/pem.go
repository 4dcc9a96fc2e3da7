package token

// ParsePEM reads the one key in data: PKCS#8 ("PRIVATE KEY"), PKCS#1 ("RSA
// PRIVATE KEY", "RSA PUBLIC KEY"), SEC 1 ("EC PRIVATE KEY") or PKIX ("PUBLIC
// KEY"). Encrypted keys, several keys and more than 64 KiB are refused.
func ParsePEM(alg Algorithm, data []byte, opts KeyOptions) (*Key, error) { return nil, errTODO }

package token

// Algorithm names a signature algorithm as the "alg" header of a token does
// (RFC 7518 §3.1, RFC 8037 §3.1). Names are compared exactly; there is no
// "none".
type Algorithm string

// The algorithms of this package.
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
)

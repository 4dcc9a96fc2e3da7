// Package token issues and verifies JSON Web Tokens. It supports only signed
// tokens in the compact serialization of JWS (RFC 7515, RFC 7519).
//
// # Verifying
//
// [NewSecretVerifier] is enough for tokens that are signed with a shared
// secret, and NewVerifier of package jwks for those of an identity provider.
// [NewVerifier] has all settings.
//
// A [Verifier] checks a token in a fixed order, cheapest checks first: length,
// alphabet, segments, header, algorithm, signature, payload, then the claims
// iat, nbf, exp, iss, aud and the others.
// Every refusal is an [*Error] whose Kind is one of the sentinels of this
// package.
//
// The reader is stricter than most libraries, because every leniency gives a
// token a second spelling or a second meaning:
//
//   - base64url must be canonical: no padding, no line breaks, unused bits
//     zero.
//   - JSON must be UTF-8. Names are compared exactly; duplicate names are
//     refused.
//   - A header must not contain a key (jwk), compression (zip), a nested token
//     (cty) or critical extensions (crit, b64). Hints where to find the key
//     (jku, x5u, x5c, x5t) are ignored.
//   - exp is required and must not be further away than MaxLifetime.
//
// The algorithm comes from the key, never from the token: a [Key] is bound to
// exactly one [Algorithm], and the alg of a token only selects among keys.
//
// One ambiguity cannot be removed by a reader: from an ECDSA signature (r, s)
// anybody can compute (r, n−s), which is also valid. The text of a token
// therefore does not identify it. Key any state, such as a revocation, by
// [Claims.ID] or [Claims.SessionID], never by the text.
//
// # Issuing
//
// An [Issuer] issues access and refresh tokens with the claims of [Claims], in
// a fixed order. It parses each new token with the verifier's reader, so it
// cannot issue a token that no Verifier would accept.
package token

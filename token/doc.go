// Package token issues and verifies JSON Web Tokens: signed ones, in the
// compact serialization of JWS (RFC 7515, RFC 7519), and nothing else.
//
// # Verifying
//
// A [Verifier] trusts a [KeySet] and reads a token in one order, cheapest
// refusal first: length, alphabet, segments, header, algorithm, signature,
// payload, then the claims iat, nbf, exp, iss, aud and the others. Every
// refusal is an [*Error] whose Kind is one of the sentinels of this package.
//
// The reader is strict where libraries usually are lenient, because every
// leniency is a second spelling of the same token, or a second meaning:
//
//   - base64url is canonical: no padding, no line breaks, unused bits zero;
//   - JSON is UTF-8, names are compared exactly, a duplicate name is refused;
//   - a header may not bring a key (jwk), compression (zip), a nested token
//     (cty) or critical extensions (crit, b64), and what it says of where its
//     key may be found (jku, x5u, x5c, x5t) is never looked at;
//   - exp is required, and may not lie further away than MaxLifetime.
//
// The algorithm comes from the key and never from the token: a [Key] is bound
// to exactly one [Algorithm], and the alg of a token only selects among keys.
//
// One freedom remains that no reader can take away: from an ECDSA signature
// (r, s) anybody can compute (r, n−s), which is as valid. The text of a token
// therefore does not identify it. Keep state, such as a revocation, by
// [Claims.ID] or [Claims.SessionID], never by the text.
//
// # Issuing
//
// An [Issuer] makes access and refresh tokens whose claims are those of
// [Claims], in a fixed order. It reads back what it made with the verifier's
// reader, so it cannot issue a token that no Verifier would accept.
package token

// Package jwks fetches the keys of an identity provider and keeps them up to
// date. [NewVerifier] returns a verifier of the provider's access tokens.
// [Keys] is the token.KeySource that it uses.
//
// Keys remain valid while the provider is down or its answers are invalid. A
// flood of tokens with unknown keys causes at most one request every ten
// seconds, and a new key is still found within that time. No answer of the
// provider can direct a request into a private network.
package jwks

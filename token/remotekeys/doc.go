// Package remotekeys fetches the keys of an identity provider, and keeps them
// up to date: a [Keys] is a token.KeySource.
//
// What it is careful about: keys that were good stay good while the provider is
// down or answers nonsense; a flood of tokens with keys that do not exist makes
// one request in ten seconds, and still a new key is found as soon; and no
// answer of the provider can send a request into a network that is private.
package remotekeys

// Package keyring keeps the keys of an issuer in a folder, so that they can be replaced while it runs.
//
// One file is one key, and the name of the file without its ending is the ID of the key (kid), unless the file says another:
//
//	NAME.jwk    a JSON Web Key (RFC 7517), which may have the members nbf and exp: seconds since 1970
//	NAME.pem    PKCS#8, PKCS#1, SEC 1 or PKIX; before it there may be lines such as "alg: PS256" and "exp: 2030-01-31T00:00:00Z"
//	NAME.hs256  a raw secret, byte for byte; also .hs384 and .hs512
//
// Names that begin with a dot, and those with any other ending, are left alone. A file with one of these endings that cannot be used
// is an error, for it would be missed only when its tokens are refused.
//
// A key has two dates. From its not-before on it may sign, and the key whose not-before is the latest does. At its expiry it stops to
// count for anything, at that moment. So a key is replaced by adding another whose not-before lies a little ahead, so that everybody
// who verifies has heard of it by then, and by giving the old one an expiry after that of the last token that it signs: [Rotate].
package keyring

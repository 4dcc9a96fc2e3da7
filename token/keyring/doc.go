// Package keyring stores the keys of an issuer in a folder, so that they can
// be replaced while it runs.
//
// Each file is one key. The ID of the key (kid) is the name of the file
// without its extension, unless the file contains another ID:
//
//	NAME.jwk    a JSON Web Key (RFC 7517), optionally with nbf and exp:
//	            seconds since 1970
//	NAME.pem    PKCS#8, PKCS#1, SEC 1 or PKIX, optionally after lines such as
//	            "alg: PS256" and "exp: 2030-01-31T00:00:00Z"
//	NAME.hs256  a raw secret, byte for byte; also .hs384 and .hs512
//
// Files with other extensions, and those whose name begins with a dot, are
// ignored. A file with one of these extensions that cannot be used is an
// error; otherwise the missing key would be noticed only when its tokens are
// refused.
//
// A key has two dates. It may sign from its not-before on; of several such
// keys, the one with the latest not-before signs. It is not used for anything
// after its expiry. To replace a key, add another with a not-before a little
// in the future, so that all verifiers can fetch it in time, and set an expiry
// for the old one that is later than that of the last token it signs. [Rotate]
// does this.
package keyring

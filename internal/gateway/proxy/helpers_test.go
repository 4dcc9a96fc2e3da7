package proxy

import "encoding/base64"

// must returns v if err is nil, and panics otherwise.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unsignedJWT returns a token with this header and payload whose signature is
// not valid.
func unsignedJWT(header, payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmF0dXJl"
}

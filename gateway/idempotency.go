package gateway

import (
	"net/http"
	"strings"

	"wsauth/store"
)

// maxIdempotencyKey is the length in bytes of the longest idempotency key.
const maxIdempotencyKey = 128

// idempotencyKey returns the hash of the Idempotency-Key of r, which is zero
// where r has none. It reports false for a field that is not exactly one key:
// 1 to 128 characters of the alphabet of isKeyCharacter, as they are or in
// quotation marks, as draft-ietf-httpapi-idempotency-key-header writes them.
// Both spellings are the same key.
func idempotencyKey(r *http.Request) (store.KeyHash, bool) {
	fields := r.Header["Idempotency-Key"]
	if len(fields) == 0 {
		return store.KeyHash{}, true
	}
	key := strings.Trim(fields[0], " \t")
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(fields) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, isNoKeyCharacter) {
		return store.KeyHash{}, false
	}
	return store.HashKey(key), true
}

// isNoKeyCharacter reports whether an idempotency key may not have a
// character. The alphabet holds UUIDs, base64 and base64url; nothing in it has
// to be escaped in quotation marks, or separates the items of a list.
func isNoKeyCharacter(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=:", c)
}

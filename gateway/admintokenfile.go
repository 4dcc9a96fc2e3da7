package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"

	"wsauth/internal/adminapi"
)

// An AdminTokenFile is a file with the token for operators, which can be
// replaced while the server runs. It keeps only a hash of the token. It is
// safe for concurrent use.
type AdminTokenFile struct {
	path string
	hash atomic.Pointer[[sha256.Size]byte]
}

// OpenAdminTokenFile opens a token file; [adminapi.ReadToken] says which are
// refused.
func OpenAdminTokenFile(path string) (*AdminTokenFile, error) {
	f := &AdminTokenFile{path: path}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again and reports whether its token has changed. A new
// token replaces the old one at once. If Reload returns an error, the old
// token remains valid.
func (f *AdminTokenFile) Reload() (changed bool, err error) {
	token, err := adminapi.ReadToken(f.path)
	if err != nil {
		return false, err
	}
	next := sha256.Sum256([]byte(token))
	last := f.hash.Swap(&next)
	return last == nil || *last != next, nil
}

// is reports whether token is the valid one. It compares in constant time.
func (f *AdminTokenFile) is(token string) bool {
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], f.hash.Load()[:]) == 1
}

// fixedToken returns an AdminTokenFile without a file, for a token that does
// not change.
func fixedToken(token string) *AdminTokenFile {
	f := new(AdminTokenFile)
	hash := sha256.Sum256([]byte(token))
	f.hash.Store(&hash)
	return f
}

package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"
)

// An AdminTokenFile is a token for operators in a file, in whose place another may be put while the server runs. It keeps a hash of the
// token alone, and is safe for concurrent use.
type AdminTokenFile struct {
	path string
	hash atomic.Pointer[[sha256.Size]byte]
}

// OpenAdminTokenFile reads the token as [ReadAdminToken] does.
func OpenAdminTokenFile(path string) (*AdminTokenFile, error) {
	f := &AdminTokenFile{path: path}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file anew, and reports whether there is another token in it, which counts from now on. The one before does not then.
// With an error it counts as it did.
func (f *AdminTokenFile) Reload() (changed bool, err error) {
	token, err := ReadAdminToken(f.path)
	if err != nil {
		return false, err
	}
	next := sha256.Sum256([]byte(token))
	last := f.hash.Swap(&next)
	return last == nil || *last != next, nil
}

// is reports whether token is the one that counts.
func (f *AdminTokenFile) is(token string) bool {
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], f.hash.Load()[:]) == 1
}

// fixedToken is a token that is in no file.
func fixedToken(token string) *AdminTokenFile {
	f := new(AdminTokenFile)
	hash := sha256.Sum256([]byte(token))
	f.hash.Store(&hash)
	return f
}

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
)

// A TokenFile is a file with the token for operators, which can be replaced
// while the server runs. It keeps only a hash of the token. It is safe for
// concurrent use.
type TokenFile struct {
	path string
	hash atomic.Pointer[[sha256.Size]byte]
}

// OpenTokenFile opens a token file. It refuses the files that
// [adminapi.ReadToken] refuses.
func OpenTokenFile(path string) (*TokenFile, error) {
	f := &TokenFile{path: path}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again and reports whether its token has changed. A new
// token replaces the old one at once. If Reload returns an error, the old
// token remains valid.
func (f *TokenFile) Reload() (changed bool, err error) {
	token, err := adminapi.ReadToken(f.path)
	if err != nil {
		return false, err
	}
	next := sha256.Sum256([]byte(token))
	last := f.hash.Swap(&next)
	return last == nil || *last != next, nil
}

// matches reports whether token is the valid one. It compares in constant time.
func (f *TokenFile) matches(token string) bool {
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], f.hash.Load()[:]) == 1
}

const (
	// A network may try maxTries wrong tokens at once, and then one more every
	// tryEvery.
	maxTries  = 10
	tryEvery  = 6 * time.Second
	maxTriers = 50_000 // networks whose tries are counted
)

// requireToken refuses requests without the token of file, and limits how many
// wrong ones a network may try. It counts a try before it compares the token,
// so that concurrent tries count, and takes it back if the token is right.
func requireToken(file *TokenFile, log *slog.Logger, next http.Handler) http.Handler {
	tries := ratelimit.New(maxTries, tryEvery, maxTriers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, ok := shownToken(r.Header["Authorization"])
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, http.StatusUnauthorized, "token_missing", "The operators' token is required, as Authorization: Bearer")
			return
		}
		try, wait := ratelimit.Hold(time.Now(), ratelimit.Claim{Limiter: tries, Key: ratelimit.Network(r.RemoteAddr)})
		if wait > 0 {
			telemetry.AnswerProblem(w, r, problem.TooMany(wait, "Too many wrong tokens; try again later"))
			return
		}
		if !file.matches(shown) {
			try.Spend(time.Now())
			log.Warn("admin: refused", "reason", "token_invalid", "remote", logtext.Host(r.RemoteAddr))
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, http.StatusUnauthorized, "token_invalid", "This is not the operators' token")
			return
		}
		try.GiveBack()
		next.ServeHTTP(w, r)
	})
}

// shownToken returns the token in lines, the Authorization fields of a
// request. There must be exactly one, with the scheme Bearer.
func shownToken(lines []string) (string, bool) {
	if len(lines) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(lines[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

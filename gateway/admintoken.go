package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"wsauth/internal/keyfile"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
)

const (
	minAdminToken = 43 // in characters: 32 random bytes in base64 (hexadecimal is longer)
	maxAdminToken = 1024
	fewCharacters = 8 // the minimum of different characters; random text of this length has more

	// A client may try adminTries wrong tokens at once, and then one more
	// every adminTryEvery.
	adminTries    = 10
	adminTryEvery = 6 * time.Second
	maxTriers     = 50_000 // clients whose tries are counted
)

// CheckAdminToken returns an error if token is not safe for operators. It must
// have at least 43 of the characters that RFC 6750 section 2.1 allows, and
// should be as random as 32 bytes of "openssl rand -base64 32". The error
// never contains the token.
func CheckAdminToken(token string) error {
	const advice = `make one: (umask 077; openssl rand -base64 32 > FILE)`
	if len(token) < minAdminToken {
		return fmt.Errorf("a token of %d characters is too short: at least %d are needed; %s", len(token), minAdminToken, advice)
	}
	if len(token) > maxAdminToken {
		return fmt.Errorf("a token is at most %d characters long; %s", maxAdminToken, advice)
	}
	different := map[rune]bool{}
	for _, c := range token {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("-._~+/=", c):
			different[c] = true
		default:
			return errors.New("a token is letters, digits and -._~+/= in one line; " + advice)
		}
	}
	if len(different) < fewCharacters {
		return errors.New("the token can be guessed; " + advice)
	}
	return nil
}

// ReadAdminToken reads a token for operators from a file, and trims the spaces
// and line breaks around it. It returns an error if others can read the file,
// or if [CheckAdminToken] refuses the token.
func ReadAdminToken(path string) (string, error) {
	folder, err := keyfile.OpenFolder(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer folder.Close()
	text, err := folder.Read(filepath.Base(path))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if err := CheckAdminToken(token); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return token, nil
}

// adminToken authenticates operators by their token and limits wrong tries.
type adminToken struct {
	file  *AdminTokenFile
	tries *ratelimit.Limiter // wrong tokens, by network
	log   *slog.Logger
}

func newAdminToken(file *AdminTokenFile, log *slog.Logger) *adminToken {
	return &adminToken{file: file, tries: ratelimit.New(adminTries, adminTryEvery, maxTriers), log: log}
}

// require refuses requests without the token. It counts a try before it
// compares the token, so that parallel tries count, and uncounts it if the
// token is right.
func (t *adminToken) require(next http.Handler) http.Handler {
	refuse := func(reason, detail string) http.HandlerFunc {
		answer := problemHandler(http.StatusUnauthorized, reason, detail)
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, r)
		}
	}
	missing := refuse("token_missing", "The token of the operators is needed, as Authorization: Bearer")
	invalid := refuse("token_invalid", "This is not the token of the operators")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, ok := shownToken(r.Header["Authorization"])
		if !ok {
			missing(w, r)
			return
		}
		try, wait := ratelimit.Hold(time.Now(), ratelimit.Claim{Limiter: t.tries, Key: ratelimit.Network(r.RemoteAddr)})
		if wait > 0 {
			answerProblem(w, r, problem.TooMany(wait, "Too many tries; wait a little"))
			return
		}
		if !t.file.is(shown) {
			try.Spend(time.Now())
			t.log.Warn("admin: refused", "reason", "token_invalid", "remote", logtext.Host(r.RemoteAddr))
			invalid(w, r)
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

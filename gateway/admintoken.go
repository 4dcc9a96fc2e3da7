package gateway

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
)

const (
	// A client may try adminTries wrong tokens at once, and then one more
	// every adminTryEvery.
	adminTries    = 10
	adminTryEvery = 6 * time.Second
	maxTriers     = 50_000 // clients whose tries are counted
)

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
		answer := telemetry.Problem(http.StatusUnauthorized, reason, detail)
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, r)
		}
	}
	missing := refuse("token_missing", "The operators' token is required, as Authorization: Bearer")
	invalid := refuse("token_invalid", "This is not the operators' token")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, ok := shownToken(r.Header["Authorization"])
		if !ok {
			missing(w, r)
			return
		}
		try, wait := ratelimit.Hold(time.Now(), ratelimit.Claim{Limiter: t.tries, Key: ratelimit.Network(r.RemoteAddr)})
		if wait > 0 {
			telemetry.AnswerProblem(w, r, problem.TooMany(wait, "Too many wrong tokens; try again later"))
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

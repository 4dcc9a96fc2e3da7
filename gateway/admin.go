package gateway

import (
	"context"
	"net"
	"net/http"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
)

// AdminConfig configures the API for operators: how they authenticate, and
// what the API tells them about this program.
type AdminConfig struct {
	// Token is the token that every request must carry, as "Authorization:
	// Bearer …"; see [adminapi.CheckToken]. Default: none, for listeners that
	// only operators can reach, such as those of [privatesock.Listen].
	Token string

	// TokenFile replaces Token if the token may change while the server runs;
	// see [OpenAdminTokenFile]. Default: none.
	TokenFile *AdminTokenFile

	// Host is the name of a proxy that forwards requests to the API; see
	// [CheckAdminHost]. If a token is required, requests must be sent to this
	// name, to localhost or to a loopback address. All other names are
	// refused, because they may be those of a web page that attacks this API
	// (DNS rebinding). Default: none.
	Host string

	// Version is the version in the status. Default: none.
	Version string

	// Reload reads the files of the server again, for POST /v1/reload. An
	// error means that the server is about to stop. Default: none; the answer
	// is 404.
	Reload func(context.Context, adminapi.Reload) (adminapi.Reloaded, error)
}

// admin serves the API for operators. No request to [Gateway.ServeHTTP]
// reaches it.
type admin struct {
	gateway *Gateway
	config  AdminConfig
}

// Admin returns the API for operators, with which they list what is open and
// end it; see docs/admin.md. It panics if [adminapi.CheckToken] refuses
// c.Token, or [CheckAdminHost] refuses c.Host. [Gateway.ServeAdmin] serves it
// with the limits that it relies on.
func (g *Gateway) Admin(c AdminConfig) http.Handler {
	a := &admin{gateway: g, config: c}
	handler := newMux(a.endpoints())
	if c.Token != "" && c.TokenFile == nil {
		if err := adminapi.CheckToken(c.Token); err != nil {
			panic(err)
		}
		c.TokenFile = fixedToken(c.Token)
	}
	if c.TokenFile != nil {
		if c.Host != "" {
			if err := CheckAdminHost(c.Host); err != nil {
				panic(err)
			}
		}
		handler = hereOnly(c.Host, newAdminToken(c.TokenFile, g.log).require(handler))
	}
	return httpx.WithSecurityHeaders(withShortHead(noPages(handler)))
}

// endpoints returns the endpoints of the API. docs/admin.md has the same
// table.
func (a *admin) endpoints() []endpoint {
	return []endpoint{
		{http.MethodGet, "/v1/status", http.HandlerFunc(a.status)},
		{http.MethodGet, "/v1/sockets", http.HandlerFunc(a.sockets)},
		{http.MethodGet, "/v1/sessions", http.HandlerFunc(a.sessions)},
		{http.MethodGet, "/v1/sessions/stored", http.HandlerFunc(a.storedSessions)},
		{http.MethodPost, "/v1/revoke", http.HandlerFunc(a.revoke)},
		{http.MethodPost, "/v1/drain", http.HandlerFunc(a.drain)},
		{http.MethodPost, "/v1/reload", http.HandlerFunc(a.reload)},
	}
}

// withShortHead refuses requests whose head is too long; see
// [problem.CheckHead].
func withShortHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := problem.CheckHead(w, r, problem.MaxHeaders); fault != nil {
			telemetry.AnswerProblem(w, r, *fault)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noPages refuses requests that a browser sends for a web page. A page could
// reach this API by a name that resolves to this machine, and would act with
// the rights of its user. No page needs it.
func noPages(next http.Handler) http.Handler {
	refused := telemetry.Problem(http.StatusForbidden, "origin_not_allowed", "Web pages may not use this API")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range [...]string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"} {
			if len(r.Header[name]) > 0 {
				refused(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// via returns the network of a request, for the log: "unix" or "tcp".
func via(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr.Network()
	}
	return ""
}

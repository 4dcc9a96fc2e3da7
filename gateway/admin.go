package gateway

import (
	"context"
	"net"
	"net/http"
)

// AdminConfig says who may administrate, and what they are told of this program.
type AdminConfig struct {
	// Token must be shown as "Authorization: Bearer …" with every request; see [CheckAdminToken]. Default: none, for sockets that
	// only those who may administrate can open, such as those of [ListenPrivate].
	Token string

	// TokenFile is in the place of Token where the token may change; see [OpenAdminTokenFile]. Default: none.
	TokenFile *AdminTokenFile

	// Host is a name that requests may be sent to where there is a token, beside localhost and the addresses of this machine that no
	// other can reach: that of a proxy which passes it on; see [CheckAdminHost]. All others are refused, because a page may be behind
	// them. Default: none.
	Host string

	// Version is told by the status. Default: none.
	Version string

	// Reload reads the files of the server anew, for POST /v1/reload. An error
	// means that the server is about to stop. Default: none, and the answer is
	// 404.
	Reload func(context.Context, AdminReload) (AdminReloaded, error)
}

// admin is the API for operators. It is apart from [Gateway.ServeHTTP]: nothing that the public reaches leads here.
type admin struct {
	gateway *Gateway
	config  AdminConfig
}

// Admin returns the API for operators, which docs/admin.md describes: what is open, and the end of it at every grain. It panics where
// c.Token is one that [CheckAdminToken] refuses, or c.Host one that [CheckAdminHost] does. [Gateway.ServeAdmin] serves it with the limits that it counts on.
func (g *Gateway) Admin(c AdminConfig) http.Handler {
	a := &admin{gateway: g, config: c}
	handler := newMux(a.endpoints())
	if c.Token != "" && c.TokenFile == nil {
		if err := CheckAdminToken(c.Token); err != nil {
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
	return withSecurityHeaders(limit(noPages(handler), maxHeaders))
}

// endpoints are all that operators can ask for. docs/admin.md has the same table.
func (a *admin) endpoints() []endpoint {
	return []endpoint{
		{http.MethodGet, "/v1/status", http.HandlerFunc(a.status)},
		{http.MethodGet, "/v1/sockets", http.HandlerFunc(a.sockets)},
		{http.MethodGet, "/v1/sessions", http.HandlerFunc(a.sessions)},
		{http.MethodGet, "/v1/logins", http.HandlerFunc(a.logins)},
		{http.MethodPost, "/v1/revoke", http.HandlerFunc(a.revoke)},
		{http.MethodPost, "/v1/drain", http.HandlerFunc(a.drain)},
		{http.MethodPost, "/v1/reload", http.HandlerFunc(a.reload)},
	}
}

// noPages refuses what a browser sends for a page: none has business here, and one that was led here, by a name that resolves to
// this machine, would act with the rights of its user.
func noPages(next http.Handler) http.Handler {
	refused := problemHandler(http.StatusForbidden, "origin_not_allowed", "Pages have no business here")
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

// via is the network that an operator came by, for the log: "unix" or "tcp".
func via(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr.Network()
	}
	return ""
}

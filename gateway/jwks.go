package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
	"wsauth/internal/staticfile"
	"wsauth/token"
)

const (
	jwksPath   = "/.well-known/jwks.json"
	openidPath = "/.well-known/openid-configuration"
)

// ownPaths returns the paths that the gateway answers itself. With NoAuth,
// these are only the published keys, if upstreams need them to verify
// assertions.
func (c Config) ownPaths() proxy.OwnPaths {
	if c.NoAuth {
		return proxy.OwnPaths{Keys: jwksPath}
	}
	return proxy.OwnPaths{Prefix: c.AuthPrefix, Published: []string{jwksPath, openidPath}, Keys: jwksPath, CORS: c.AuthCORS}
}

// isPublished reports whether path is one at which the public keys are
// published.
func isPublished(path string) bool { return path == jwksPath || path == openidPath }

// publicFor is the Cache-Control header of published documents. They may be
// cached for less time than a new key waits before it signs.
const publicFor = "public, max-age=300"

// jwksType is the content type of a JWK Set (RFC 7517 section 8.5.2).
const jwksType = "application/jwk-set+json"

// CheckIssuer reports what makes issuer unusable as [Config.Issuer]. An issuer
// is a URL as OpenID Connect Discovery requires it: https, or http on this
// machine, without query and fragment.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || !u.IsAbs() || u.Hostname() == "" || u.Opaque != "":
		return errors.New("it must be a URL, such as https://login.example")
	case u.Scheme != "https" && (u.Scheme != "http" || !httpx.IsLoopback(u.Hostname())):
		return errors.New("it must begin with https://, or on this machine with http://localhost")
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		return errors.New("it must not have a user, a query or a fragment")
	case hostaddr.CheckPort(u) != nil:
		return hostaddr.CheckPort(u)
	case u.String() != issuer:
		return errors.New("it is compared byte for byte; write it as " + u.String())
	}
	return nil
}

// A publicSet is a key set and the JWKS document made from it.
type publicSet struct {
	set  *token.KeySet
	file *staticfile.File
}

// jwks answers GET /.well-known/jwks.json with the public halves of the keys
// whose tokens are valid, so that other servers can verify them.
func (g *Gateway) jwks(w http.ResponseWriter, r *http.Request) {
	set, err := g.keys.KeySet(r.Context(), "")
	if err != nil {
		g.log.Error("the keys cannot be published", "reason", "store_unavailable", "error", err)
		telemetry.AnswerProblem(w, r, problem.Unavailable)
		return
	}
	p := g.published.Load()
	if p == nil || p.set != set {
		p = &publicSet{set, staticfile.New(set.PublicJWKS(), jwksType, publicFor)}
		g.published.Store(p)
	}
	p.file.ServeHTTP(w, r)
}

// A discovery is a discovery document (OpenID Connect Discovery 1.0 section 3,
// RFC 8414) for programs that verify our tokens. It states only what holds:
// there is no authorization endpoint and no ID token. Empty lists must be
// omitted, and features whose default is true must be denied explicitly.
type discovery struct {
	Issuer      string   `json:"issuer"`
	JWKS        string   `json:"jwks_uri"`
	Subjects    []string `json:"subject_types_supported"`
	Claims      []string `json:"claims_supported"`
	RequestURIs bool     `json:"request_uri_parameter_supported"`
}

// discoveryOf returns a handler for GET /.well-known/openid-configuration.
func discoveryOf(issuer string) http.Handler {
	if issuer == "" {
		return telemetry.Problem(http.StatusNotFound, "", "This server has no issuer")
	}
	body, err := json.Marshal(discovery{
		Issuer:   issuer,
		JWKS:     strings.TrimSuffix(issuer, "/") + jwksPath,
		Subjects: []string{"public"},
		Claims:   []string{"iss", "sub", "iat", "nbf", "exp", "jti", "sid", "type", "fresh", "csrf"},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return staticfile.New(body, staticfile.JSON, publicFor)
}

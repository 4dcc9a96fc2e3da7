// Package discovery publishes what others need to verify the gateway's tokens:
// its public keys, and its metadata.
package discovery

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
	"wsauth/internal/staticfile"
	"wsauth/token"
)

// The paths of the documents.
const (
	KeysPath     = "/.well-known/jwks.json"
	MetadataPath = "/.well-known/openid-configuration"
)

// cacheControl is the Cache-Control header of the documents. Its max-age is
// shorter than the time for which a new key is published before it signs.
const cacheControl = "public, max-age=300"

// keysType is the content type of a JWK Set (RFC 7517 section 8.5.2).
const keysType = "application/jwk-set+json"

// CheckIssuer returns an error if issuer cannot be the issuer of tokens. It
// must be a URL as OpenID Connect Discovery requires it: https, or http on this
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

// keys is the handler that [Keys] returns.
type keys struct {
	source token.KeySource
	log    *slog.Logger
	latest atomic.Pointer[keySet]
}

// A keySet is a key set and the JWKS document made from it.
type keySet struct {
	set      *token.KeySet
	document *staticfile.File
}

// Keys returns a handler for GET [KeysPath]. It answers with the public halves
// of the keys whose tokens are valid.
func Keys(source token.KeySource, log *slog.Logger) http.Handler {
	return &keys{source: source, log: log}
}

// ServeHTTP implements [http.Handler].
func (k *keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	set, err := k.source.KeySet(r.Context(), "")
	if err != nil {
		k.log.Error("the keys cannot be published", "reason", "store_unavailable", "error", err)
		telemetry.AnswerProblem(w, r, problem.Unavailable)
		return
	}
	latest := k.latest.Load()
	if latest == nil || latest.set != set {
		latest = &keySet{set, staticfile.New(set.PublicJWKS(), keysType, cacheControl)}
		k.latest.Store(latest)
	}
	latest.document.ServeHTTP(w, r)
}

// metadata is a discovery document (OpenID Connect Discovery 1.0 section 3,
// RFC 8414) for programs that verify our tokens. It names no authorization
// endpoint and no ID tokens, because there are none. Empty lists must be
// omitted, and features whose default is true must be denied explicitly.
type metadata struct {
	Issuer      string   `json:"issuer"`
	JWKS        string   `json:"jwks_uri"`
	Subjects    []string `json:"subject_types_supported"`
	Claims      []string `json:"claims_supported"`
	RequestURIs bool     `json:"request_uri_parameter_supported"`
}

// Metadata returns a handler for GET [MetadataPath].
func Metadata(issuer string) http.Handler {
	if issuer == "" {
		return telemetry.Problem(http.StatusNotFound, "", "This server has no issuer")
	}
	body, err := json.Marshal(metadata{
		Issuer:   issuer,
		JWKS:     strings.TrimSuffix(issuer, "/") + KeysPath,
		Subjects: []string{"public"},
		Claims:   []string{"iss", "sub", "iat", "nbf", "exp", "jti", "sid", "type", "fresh", "csrf"},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return staticfile.New(body, staticfile.JSON, cacheControl)
}

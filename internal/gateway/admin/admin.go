// Package admin serves the API for operators: it lists the open sockets and
// the sessions, revokes tokens and sessions, drains the server, and reloads its
// files. See docs/admin.md, and package adminapi for the JSON types.
package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
	"wsauth/store"
)

// Config configures an [API]. The fields up to Logger are required.
type Config struct {
	// Guard lists the open sockets and revokes tokens.
	Guard *wsauth.Guard

	// Sessions lists the sessions of users, and ends them.
	Sessions Sessions

	// Routes returns the routes and the state of their upstreams.
	Routes func() []adminapi.Route

	// ServedBy returns the name of the route that serves a socket, and the
	// address of its upstream. Both are "" if they are not known.
	ServedBy func(*wsauth.Socket) (route, upstream string)

	// Drain is how long a drain takes at most, unless the request says
	// otherwise.
	Drain time.Duration

	// Logger logs what operators change, and wrong tokens.
	Logger *slog.Logger

	// TokenFile contains the token that every request to a TCP port must carry,
	// as "Authorization: Bearer …". Default: none; only Unix sockets are
	// served.
	TokenFile *TokenFile

	// Host is the name of a proxy that forwards requests to the port; see
	// [CheckHost]. Requests to the port must be sent to this name, to localhost
	// or to a loopback address. All other names are refused, because a web page
	// that attacks the API may use them (DNS rebinding). Default: none.
	Host string

	// Version is the version in the status. Default: none.
	Version string

	// Cluster is the cluster that this server is a node of. Its nodes forward
	// requests to each other; see [API.Private]. Default: it is the only node.
	Cluster Cluster

	// Reload reads the files of the server again, for POST /v1/reload. An
	// error means that the server is about to stop. Default: none; the answer
	// is 404.
	Reload func(context.Context, adminapi.Reload) (adminapi.Reloaded, error)
}

// Sessions lists and ends the stored sessions of users. [login.Service]
// implements it and documents the methods.
type Sessions interface {
	Sessions(ctx context.Context, subject string) ([]store.Session, error)
	End(ctx context.Context, sid string) (sockets int, err error)
	EndUserBefore(ctx context.Context, subject string, before time.Time) (sessions, sockets int, err error)
	Now(ctx context.Context) time.Time
	EndAllBefore(ctx context.Context, before time.Time) (sockets int, err error)
}

// An API is the API for operators. Any number of listeners can serve it; see
// [API.Serve].
type API struct {
	config   Config
	log      *slog.Logger
	started  time.Time
	run      string      // random, to recognize cursors of an earlier process
	draining atomic.Bool // an operator has started a drain
	private  http.Handler
	port     http.Handler // private, for requests with the token; nil without TokenFile
}

// New returns the API for c. It returns an error if [CheckHost] refuses
// c.Host.
func New(c Config) (*API, error) {
	a := &API{config: c, log: c.Logger, started: time.Now(), run: rand.Text()[:8]}
	mux := a.atNode(problem.NewMux(a.endpoints(), telemetry.AnswerProblem))
	a.private = protected(mux)
	if c.Host != "" {
		if err := CheckHost(c.Host); err != nil {
			return nil, fmt.Errorf("admin: Config.Host: %w", err)
		}
	}
	if c.TokenFile != nil {
		a.port = protected(hereOnly(c.Host, requireToken(c.TokenFile, c.Logger, mux)))
	}
	return a, nil
}

// endpoints returns the endpoints of the API. docs/admin.md has the same
// table.
func (a *API) endpoints() []problem.Endpoint {
	return []problem.Endpoint{
		{Method: http.MethodGet, Path: "/v1/nodes", Handler: http.HandlerFunc(a.nodes)},
		{Method: http.MethodGet, Path: "/v1/status", Handler: http.HandlerFunc(a.status)},
		{Method: http.MethodGet, Path: "/v1/sockets", Handler: http.HandlerFunc(a.sockets)},
		{Method: http.MethodGet, Path: "/v1/sessions", Handler: http.HandlerFunc(a.sessions)},
		{Method: http.MethodGet, Path: "/v1/sessions/stored", Handler: http.HandlerFunc(a.storedSessions)},
		{Method: http.MethodPost, Path: "/v1/revoke", Handler: http.HandlerFunc(a.revoke)},
		{Method: http.MethodPost, Path: "/v1/drain", Handler: http.HandlerFunc(a.drain)},
		{Method: http.MethodPost, Path: "/v1/reload", Handler: http.HandlerFunc(a.reload)},
	}
}

// protected wraps next in the checks that apply to every request.
func protected(next http.Handler) http.Handler {
	return problem.WithSecurityHeaders(withShortHead(noPages(next)))
}

// refuse answers r with a problem document. detail is a fixed text for people:
// it contains nothing of the request.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	telemetry.AnswerProblem(w, r, problem.Document{Status: status, Detail: detail, Reason: reason})
}

// noQuery reports whether r has no query. If it has one, noQuery answers r.
func noQuery(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.RawQuery == "" {
		return true
	}
	refuse(w, r, http.StatusBadRequest, "invalid_request", "No query is allowed, except a node")
	return false
}

// readJSON reads the body of r, which must have no query, into v. If r is
// invalid, readJSON answers it and returns false; see [problem.ReadJSON].
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if !noQuery(w, r) {
		return false
	}
	if fault := problem.ReadJSON(w, r, v, members); fault != nil {
		telemetry.AnswerProblem(w, r, *fault)
		return false
	}
	return true
}

// members describes the members of the request bodies, for error messages.
var members = map[jsontext.Pointer]string{
	"/token":      "token must be a string",
	"/session":    "session must be a string",
	"/user":       "user must be a string",
	"/everything": "everything must be true",
	"/before":     "before must be a string",
	"/within":     "within must be a whole number of seconds",
	"/confirm":    "confirm must be true or false",
}

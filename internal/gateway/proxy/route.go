package proxy

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
	"wsauth/internal/urlpath"
	"wsauth/internal/wsframe"
)

// A Route sends the requests for a host and a path to an upstream if they meet
// its requirements. It serves plain HTTP, server-sent events and WebSockets.
// The upstream gets path and query as the client sent them, without the
// credential, and with headers that identify the client. Only Path and
// Upstreams are required.
type Route struct {
	// Host is the host of the requests, without a port: "app.example", or
	// "*.app.example" for all names below it. Default: every host that no
	// other route names.
	Host string

	// Path is the path of the requests, without escapes: "/chat" matches only
	// itself, "/chat/" also everything below it, and "/" every path. If
	// several routes match, the one with the more specific host is used, and
	// among those the one with the longest path.
	Path string

	// Upstreams are the servers behind the route: "http://host:port",
	// "https://host:port" or "unix:/path/of/socket". Requests go to them in
	// turn; unhealthy upstreams are skipped, see Health.
	Upstreams []string

	// TLS configures connections to https upstreams. Default: the system's
	// roots.
	TLS *tls.Config

	// Health configures the health checks of the upstreams. Default: see
	// [Health].
	Health Health

	// Public admits every request. No credential is required, and the upstream
	// gets the application's own credentials, parameters and cookies. Only
	// credentials that are valid at this gateway are removed, unless
	// KeepCredential is set: its login cookies, its tickets, and tokens that
	// name its issuer or one of its keys.
	Public bool

	// Sockets lets every client open WebSockets on a public route, which
	// otherwise refuses handshakes with 403. Many WebSocket servers accept any
	// path: behind a public route, they would open without a token what
	// another route guards. A guarded route opens sockets for the clients that
	// it admits, and must leave Sockets unset.
	Sockets bool

	// Requirement is what the credential of a request must satisfy. Default:
	// an access token.
	Requirement wsauth.Requirement

	// Scopes must all be in the token's claims scope (RFC 8693 section 4.2) or
	// scp. The scopes of a provider's token are only those that its profile
	// names.
	Scopes []string

	// Claims are further requirements for a token: for each name, the token's
	// claim must be one of the values, or a list that contains one of them.
	// Dots lead into objects: "realm_access.roles". A claim whose own name
	// contains the dots takes precedence. The users, sessions and tokens
	// of a provider have its namespace in their names: "idp|ada". See
	// [token.Claims.Payload].
	Claims map[string][]string

	// Extractors read the credential of a request. Default: the Authorization
	// header, a ticket in the query, and the cookies of the gateway's own
	// login.
	Extractors []wsauth.Extractor

	// AppParameters are query parameters that belong to the application and
	// reach the upstream, such as an access_token that is not ours. Without
	// AppParameters, a request with that parameter is refused with 400. See
	// [wsauth.Config.AppParameters]. A public route needs none, since it reads
	// no parameters.
	AppParameters []string

	// Origins are the origins whose pages may open sockets. Default: those of
	// [Config].
	Origins []string

	// AnyOrigin lets pages of every origin open sockets. A route that accepts
	// cookies cannot have it: any web site could use the cookies of its
	// visitors. The upstream of a public route gets the application's own
	// cookies, even if a page of another site opens the socket. If the upstream
	// trusts those cookies, it must check the Origin itself.
	AnyOrigin bool

	// CORS lets pages of other origins read the answers of the route. By
	// default, the gateway sets no CORS headers: a guarded route refuses
	// preflights, and the upstream's headers are passed on.
	CORS *CORS

	// Refusal says how a refused handshake is answered. Default: in HTTP.
	Refusal wsauth.Refusal

	// Headers identify the client to the upstream: each maps the name of a
	// header to the claim that is its value. Headers that clients send under
	// these names, in any spelling, never reach an upstream of any route. A
	// header whose claim is absent is not sent. nil means {"X-User": "sub"};
	// an empty map means none.
	Headers map[string]string

	// HeaderLists says how lists are written in these headers. Default:
	// [ListsByComma].
	HeaderLists HeaderLists

	// Assertion is the name of a header that contains the client's claims as a
	// JWT. It is signed by the gateway, expires after a minute, and is valid
	// only for the route's upstreams, whose addresses are its aud. An upstream
	// that can also be reached directly thus verifies that a request came
	// through the gateway. The signing key must be a key pair, whose public
	// half is published at /.well-known/jwks.json. Default: none.
	Assertion string

	// KeepCredential leaves the credential in the request, for upstreams that
	// verify it again.
	KeepCredential bool

	// LenientPaths accepts paths with escaped slashes, backslashes, semicolons
	// and empty segments if every way to read them leads to this route. By
	// default, such paths are accepted only if all routes of the host admit
	// the same clients. Otherwise, a server with yet another reading of the
	// path would serve what another route guards.
	LenientPaths bool

	// Limits bound what clients may send. Default: see [RouteLimits].
	Limits RouteLimits

	// Connect is how long connecting to the upstream may take. Default: 5 s.
	// Response is how long the upstream may take to begin its answer after it
	// has received the request. Default: 60 s. Both are at most 24 h.
	Connect, Response time.Duration
}

// RouteLimits bound what the clients of one route may send and how long a
// socket may be idle. A negative value means no limit.
type RouteLimits struct {
	// MaxBody bounds the body of a plain request, in bytes; more is 413.
	// Bodies are streamed and take no memory. Default: no limit.
	MaxBody int64

	// MaxFrame and MaxMessage bound the payload of a WebSocket frame and of a
	// message in bytes, as sent, which may be compressed; more ends the socket
	// with 1009. Messages are streamed and take no memory. A frame of more
	// than 2 GiB is always refused. Defaults: MaxMessage for MaxFrame, and no
	// limit for MaxMessage.
	MaxFrame, MaxMessage int64

	// MaxFragments bounds the number of frames of a message, in addition to
	// one for every 32 bytes of it; more ends the socket with 1008. Servers
	// that collect frames need memory for each. Default: 16384.
	MaxFragments int

	// Idle is how long a socket may carry no data frames, in either direction,
	// before it ends with 3008. Pings and pongs do not count. From 1 s to a
	// year. Default: no limit.
	Idle time.Duration

	// Ping is how often a silent client is sent a ping. A client that is silent
	// for three times as long is disconnected. From 1 s to 24 h. Default: 30 s.
	Ping time.Duration

	PerMinute int // handshakes from one address per minute; more are 429. Default: no limit
}

// Health says when an upstream is unhealthy. Requests skip unhealthy upstreams
// if the route has several. Without Path, an upstream that cannot be reached is
// unhealthy for the duration Every. With Path, each upstream is sent a GET
// request at this interval, and is unhealthy while it does not answer with a
// status below 400.
// Routes to the same upstream with the same Health, TLS and Connect share the
// check and its state.
type Health struct {
	Path    string        // such as "/healthz". Default: none
	Every   time.Duration // from 100 ms to 24 h. Default: 5 s
	Timeout time.Duration // of one check, from 100 ms to 24 h. Default: 2 s
}

// Defaults and limits of the settings of a route.
const (
	defaultConnect    = 5 * time.Second
	DefaultResponse   = 60 * time.Second
	DefaultPing       = 30 * time.Second
	DefaultHealth     = 5 * time.Second
	defaultHealthWait = 2 * time.Second
	minHealth         = 100 * time.Millisecond
	maxTimeout        = 24 * time.Hour // so that sums of durations cannot overflow
	MinPing           = time.Second
	maxPing           = 24 * time.Hour
	minIdle           = time.Second
	maxIdle           = 366 * 24 * time.Hour
)

// name returns the name of the route in logs and metrics.
func (r *Route) name() string { return r.Host + r.Path }

// withDefaults checks r and sets defaults. The error joins all faults, each
// with the name of its field.
func (r Route) withDefaults() (Route, error) {
	r, wrong := r.check()
	return r, wrong.Join()
}

// check does the work of withDefaults and returns the faults separately.
func (r Route) check() (Route, fault.List) {
	var wrong fault.List
	if err := hostaddr.CheckPattern(r.Host); err != nil {
		wrong.Add("Host", "%w", err)
	}
	if err := checkPath(r.Path); err != nil {
		wrong.Add("Path", "%w", err)
	}
	if len(r.Upstreams) == 0 {
		wrong.Add("Upstreams", "at least one is required, such as http://127.0.0.1:9000")
	}
	for i, u := range r.Upstreams {
		if err := hostaddr.CheckUpstream(u); err != nil {
			wrong.Add(fmt.Sprintf("Upstreams[%d]", i), "%w", err)
		} else if slices.Contains(r.Upstreams[:i], u) {
			wrong.Add(fmt.Sprintf("Upstreams[%d]", i), "%s is listed twice; remove one of the two", u)
		}
	}
	if r.Public && (r.Requirement != wsauth.Access || len(r.Scopes)+len(r.Claims)+len(r.Headers) > 0 || r.Assertion != "") {
		wrong.Add("Public", "a public route authenticates no client: leave out requirement, scopes, claims, headers and assertion; to accept anonymous and authenticated clients, use the requirement optional")
	}
	if r.Sockets && !r.Public {
		wrong.Add("Sockets", "only a public route needs it: a guarded route opens sockets for the clients that it admits")
	}
	if r.Requirement < wsauth.Access || r.Requirement > wsauth.Fresh {
		wrong.Add("Requirement", "%d is not one of the four requirements", r.Requirement)
	}
	if r.Requirement == wsauth.Optional && len(r.Scopes)+len(r.Claims) > 0 {
		wrong.Add("Requirement", "optional admits clients without a token, which have neither scopes nor claims: leave those out, or require an access token")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if name == "" || len(r.Claims[name]) == 0 {
			wrong.AddKey("Claims", name, "needs a name and at least one value")
		}
	}
	if r.Headers == nil && !r.Public {
		r.Headers = map[string]string{"X-User": "sub"}
	}
	if r.HeaderLists = cmp.Or(r.HeaderLists, ListsByComma); r.HeaderLists != ListsByComma && r.HeaderLists != ListsAsJSON {
		wrong.Add("HeaderLists", "%q is neither comma nor json", r.HeaderLists)
	}
	r.checkIdentity(&wrong)
	r.checkTimes(&wrong)
	return r, wrong
}

// checkTimes checks the durations and limits of r and sets their defaults.
func (r *Route) checkTimes(wrong *fault.List) {
	r.Connect, r.Response = cmp.Or(r.Connect, defaultConnect), cmp.Or(r.Response, DefaultResponse)
	if r.Connect < 0 || r.Connect > maxTimeout {
		wrong.Add("Connect", "must not be negative, and at most %s", maxTimeout)
	}
	if r.Response < 0 || r.Response > maxTimeout {
		wrong.Add("Response", "must not be negative, and at most %s", maxTimeout)
	}
	r.Limits.fill(wrong)
	h := &r.Health
	h.Every, h.Timeout = cmp.Or(h.Every, DefaultHealth), cmp.Or(h.Timeout, defaultHealthWait)
	if h.Every < minHealth || h.Every > maxTimeout {
		wrong.Add("Health.Every", "must be from %s to %s", minHealth, maxTimeout)
	}
	if h.Timeout < minHealth || h.Timeout > maxTimeout {
		wrong.Add("Health.Timeout", "must be from %s to %s", minHealth, maxTimeout)
	}
	if h.Path != "" {
		if err := checkPath(h.Path); err != nil {
			wrong.Add("Health.Path", "%w", err)
		}
	}
}

// fill sets defaults and checks the limits. It stores "no limit" as a negative
// value, so that filling the limits again changes nothing.
func (l *RouteLimits) fill(wrong *fault.List) {
	l.MaxBody = LimitOr(l.MaxBody, unlimited)
	l.MaxMessage = LimitOr(l.MaxMessage, unlimited)
	l.MaxFragments = LimitOr(l.MaxFragments, wsframe.MaxFragments)
	l.MaxFrame = LimitOr(l.MaxFrame, l.MaxMessage)
	l.Ping = LimitOr(l.Ping, DefaultPing)
	l.Idle = LimitOr(l.Idle, unlimited)
	l.PerMinute = LimitOr(l.PerMinute, unlimited)
	if l.Ping != unlimited && (l.Ping < MinPing || l.Ping > maxPing) {
		wrong.Add("Limits.Ping", "must be from %s to %s, or none", MinPing, maxPing)
	}
	if l.Idle != unlimited && (l.Idle < minIdle || l.Idle > maxIdle) {
		wrong.Add("Limits.Idle", "must be from %s to %s, or none", minIdle, maxIdle)
	}
}

// unlimited is the value of a filled limit that is switched off.
const unlimited = -1

// LimitOr returns def if limit is 0, and unlimited if it is negative. It is
// idempotent.
func LimitOr[T ~int | ~int64](limit, def T) T {
	return max(cmp.Or(limit, def), unlimited)
}

// Bound converts a filled limit for code in which 0 means no limit.
func Bound[T ~int | ~int64](limit T) T { return max(limit, 0) }

// checkPath returns an error if p cannot be the path of a route or of a health
// check.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("%q does not begin with a slash", p)
	}
	if urlpath.Clean(p) != p || strings.ContainsAny(p, `\;%?#*{} `) {
		return fmt.Errorf("%q is not a plain path such as /chat or /chat/: it must not have empty, . or .. parts, spaces, or any of \\ ; %% ? # * { }", p)
	}
	return nil
}

// checkIdentity checks the headers that identify the client to the upstream.
func (r *Route) checkIdentity(wrong *fault.List) {
	cannot := func(name string) bool {
		return !httpx.IsToken(name) || reserved[http.CanonicalHeaderKey(name)] || strings.HasPrefix(fold(name), "sec-")
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if cannot(name) {
			wrong.AddKey("Headers", name, "cannot be an identity header")
		}
		if r.Headers[name] == "" {
			wrong.AddKey("Headers", name, "needs the name of a claim, such as sub")
		}
		if other, twice := seen[fold(name)]; twice {
			wrong.AddKey("Headers", name, "servers treat it and %q as the same header", other)
		}
		seen[fold(name)] = name
	}
	if r.Assertion == "" {
		return
	}
	if cannot(r.Assertion) {
		wrong.Add("Assertion", "%q cannot be an identity header", r.Assertion)
	}
	if other, twice := seen[fold(r.Assertion)]; twice {
		wrong.Add("Assertion", "servers treat %q and %q as the same header", r.Assertion, other)
	}
}

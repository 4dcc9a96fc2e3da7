package gateway

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/internal/urlpath"
	"wsauth/internal/wsframe"
	"wsauth/login"
)

// A Route sends the requests for a host and a path to an upstream, once they have shown what the route asks for: plain HTTP,
// server-sent events and WebSockets alike. The upstream gets the path and the query as the client wrote them, without the
// credential, and with headers that say who the client is. Only Path and Upstreams are required.
type Route struct {
	// Host is the host that requests name, without a port: "app.example", or "*.app.example" for all names below that one.
	// Default: every host that no other route names.
	Host string

	// Path is the path of the requests, without escapes: "/chat" is that one alone, "/chat/" also all that is below it, and "/"
	// is every path. Of several routes the one with the more exact host counts, then the one with the longest path.
	Path string

	// Upstreams are the servers behind the route: "http://host:port", "https://host:port" or "unix:/path/of/socket". Of
	// several, each gets a request in turn, but for those that cannot be reached; see Health.
	Upstreams []string

	// TLS is for https upstreams. Default: the roots of the system.
	TLS *tls.Config

	// Health says how upstreams are watched. Default: see there.
	Health Health

	// Public lets every request pass. No credential is asked for, and
	// the upstream gets the application's own credentials, parameters and
	// cookies. Only what is good at this gateway is kept from it, unless
	// KeepCredential: the cookies of its login, its tickets, and tokens that
	// name its issuer or one of its keys.
	Public bool

	// Sockets lets everybody open WebSockets on a public route, which
	// otherwise refuses handshakes with 403. Many WebSocket servers accept any
	// path: behind a public route they would open without a token what another
	// route guards. A guarded route opens sockets for the clients that it lets
	// in and must leave Sockets unset.
	Sockets bool

	// Requirement is what a request's credential must be. Default: an access token.
	Requirement wsauth.Requirement

	// Scopes are all needed: each must be in the token's scope (RFC 8693
	// section 4.2) or scp. The scopes of a provider's token are those that its
	// profile names, and no others.
	Scopes []string

	// Claims are needed beside: for each name, the claim of the token must be
	// one of the values, or a list that holds one of them. Dots lead into
	// objects: "realm_access.roles". A claim whose whole name has the dots
	// comes first. The names of users, sessions and tokens of a provider have
	// its namespace: "idp|ada". See [token.Claims.Payload].
	Claims map[string][]string

	// Locations are where a request may carry its credential. Default: the Authorization header, a ticket in the query, and
	// the cookies of the gateway's own login.
	Locations []wsauth.Location

	// AppParameters are parameters of the query that belong to the application
	// and reach the upstream, such as an access_token that is not ours, which
	// is otherwise refused with 400. See [wsauth.Config.AppParameters]. A
	// public route needs none: it looks at no parameter.
	AppParameters []string

	// Origins are the origins whose pages may open sockets. Default: those of [Config].
	Origins []string

	// AnyOrigin lets pages of every origin open sockets. A route that takes
	// cookies cannot have it: any web site could use those of its visitors. The
	// upstream of a public route gets the application's own cookies, also with
	// sockets of foreign pages, and has to look at the Origin itself if it
	// believes them.
	AnyOrigin bool

	// CORS lets pages of other origins read answers of the route. Default: it
	// says nothing about CORS, so a guarded route refuses preflights, and what
	// the upstream says is passed on.
	CORS *CORS

	// Refusal says how a refused handshake is answered. Default: in HTTP.
	Refusal wsauth.Refusal

	// Headers tell the upstream who the client is: the name of a header, and
	// the claim that is its value. What clients send under these names, in any
	// spelling, never reaches an upstream of any route. A header whose claim
	// is absent is not sent. nil is {"X-User": "sub"}; an empty map is none.
	Headers map[string]string

	// HeaderLists says how a list is written in such a header. Default:
	// [ListsByComma].
	HeaderLists HeaderLists

	// Assertion is the name of a header that holds the client's claims as a JWT of the gateway's own key, good for a minute
	// and for the upstreams of the route only, whose addresses are its aud: an upstream that others can reach, too, can then
	// tell who sent the request. The key that signs must be a key pair, whose public half is at /.well-known/jwks.json.
	// Default: none.
	Assertion string

	// KeepCredential leaves the credential in the request, for upstreams that verify it once more.
	KeepCredential bool

	// LenientPaths takes paths with escaped slashes, backslashes, semicolons
	// and empty parts if each way to read them is one of this route. Otherwise
	// a host takes them only if all of its routes let in the same clients:
	// where they do not, a server that reads such a path in yet another way
	// would serve what another route guards.
	LenientPaths bool

	// Limits bound what clients may send. Default: see there.
	Limits RouteLimits

	// Connect is how long it may take to reach the upstream. Default: 5 s. Response is how long the upstream has to begin its
	// answer, from when it has the request. Default: 60 s. Both are at most 24 h.
	Connect, Response time.Duration
}

// RouteLimits bound what the clients of one route may send and for how long a socket may be silent. A negative value is no limit.
type RouteLimits struct {
	// MaxBody bounds the bytes of the body of a plain request; more is 413.
	// Bodies are passed on as they come, and take no memory. Default: no limit.
	MaxBody int64

	// MaxFrame and MaxMessage bound the payload bytes of a WebSocket frame and
	// message as they are sent, so compressed; more ends the socket with 1009.
	// Messages are passed on as they come, and take no memory. A frame of more
	// than 2 GiB is refused in any case. Defaults: MaxMessage, and no limit.
	MaxFrame, MaxMessage int64

	// MaxFragments bounds the frames that a message may come in, beside one for
	// every 32 bytes of it; more ends the socket with 1008. Servers that collect
	// frames keep something for each. Default: 16384.
	MaxFragments int

	// Idle is how long a socket may carry no data frame, in either direction,
	// before it ends with 3008. Pings and pongs do not count. From 1 s to a
	// year. Default: no limit.
	Idle time.Duration

	// Ping is how often a silent client gets a ping. One that stays silent for
	// three times as long is gone. From 1 s to 24 h. Default: 30 s.
	Ping time.Duration

	PerMinute int // handshakes of one address in a minute; more are 429. Default: no limit
}

// Health says when an upstream of several is passed over. Without Path, an
// upstream that cannot be reached is passed over for Every. With Path, each
// upstream is sent a GET request every Every, and passed over while it does
// not answer with a status below 400. Routes to the same upstream with the
// same Health, TLS and Connect share the check and its state.
type Health struct {
	Path    string        // such as "/healthz". Default: none
	Every   time.Duration // from 100 ms to 24 h. Default: 5 s
	Timeout time.Duration // of one question, from 100 ms to 24 h. Default: 2 s
}

const (
	defaultConnect    = 5 * time.Second
	defaultResponse   = 60 * time.Second
	defaultPing       = 30 * time.Second
	defaultHealth     = 5 * time.Second
	defaultHealthWait = 2 * time.Second
	minHealth         = 100 * time.Millisecond
	maxTimeout        = 24 * time.Hour // sums of times do not overflow
	minPing           = time.Second
	maxPing           = 24 * time.Hour
	minIdle           = time.Second
	maxIdle           = login.MaxTTL
)

// name is how logs and metrics call the route.
func (r *Route) name() string { return r.Host + r.Path }

// withDefaults checks r and fills what is unset. Every fault is reported, each with the name of its field.
func (r Route) withDefaults() (Route, error) {
	r, wrong := r.check()
	return r, wrong.join()
}

// check is withDefaults, with the faults one by one.
func (r Route) check() (Route, faults) {
	var wrong faults
	if err := checkHost(r.Host); err != nil {
		wrong.add("Host", "%w", err)
	}
	if err := checkPath(r.Path); err != nil {
		wrong.add("Path", "%w", err)
	}
	if len(r.Upstreams) == 0 {
		wrong.add("Upstreams", "at least one is required, such as http://127.0.0.1:9000")
	}
	for i, u := range r.Upstreams {
		if err := CheckUpstream(u); err != nil {
			wrong.add(fmt.Sprintf("Upstreams[%d]", i), "%w", err)
		} else if slices.Contains(r.Upstreams[:i], u) {
			wrong.add(fmt.Sprintf("Upstreams[%d]", i), "%s stands twice", u)
		}
	}
	if r.Public && (r.Requirement != wsauth.Access || len(r.Scopes)+len(r.Claims)+len(r.Headers) > 0 || r.Assertion != "") {
		wrong.add("Public", "nothing is known of a client whom nobody asks: leave out requirement, scopes, claims, headers and assertion; for some who are known and some who are not there is the requirement optional")
	}
	if r.Sockets && !r.Public {
		wrong.add("Sockets", "only a public route needs it: a guarded route opens sockets for the clients that it lets in")
	}
	if r.Requirement < wsauth.Access || r.Requirement > wsauth.Fresh {
		wrong.add("Requirement", "%d is none of the four", r.Requirement)
	}
	if r.Requirement == wsauth.Optional && len(r.Scopes)+len(r.Claims) > 0 {
		wrong.add("Requirement", "optional lets clients in that have no token, and so neither scopes nor claims: leave those out, or ask for an access token")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if name == "" || len(r.Claims[name]) == 0 {
			wrong.addKey("Claims", name, "needs a name and at least one value")
		}
	}
	if r.Headers == nil && !r.Public {
		r.Headers = map[string]string{"X-User": "sub"}
	}
	if r.HeaderLists = cmp.Or(r.HeaderLists, ListsByComma); r.HeaderLists != ListsByComma && r.HeaderLists != ListsAsJSON {
		wrong.add("HeaderLists", "%q is neither comma nor json", r.HeaderLists)
	}
	r.checkIdentity(&wrong)
	r.checkTimes(&wrong)
	return r, wrong
}

// checkTimes checks limits and times, and fills them.
func (r *Route) checkTimes(wrong *faults) {
	r.Connect, r.Response = cmp.Or(r.Connect, defaultConnect), cmp.Or(r.Response, defaultResponse)
	if r.Connect < 0 || r.Connect > maxTimeout {
		wrong.add("Connect", "must not be negative, and at most %s", maxTimeout)
	}
	if r.Response < 0 || r.Response > maxTimeout {
		wrong.add("Response", "must not be negative, and at most %s", maxTimeout)
	}
	r.Limits.fill(wrong)
	h := &r.Health
	h.Every, h.Timeout = cmp.Or(h.Every, defaultHealth), cmp.Or(h.Timeout, defaultHealthWait)
	if h.Every < minHealth || h.Every > maxTimeout {
		wrong.add("Health.Every", "must be from %s to %s", minHealth, maxTimeout)
	}
	if h.Timeout < minHealth || h.Timeout > maxTimeout {
		wrong.add("Health.Timeout", "must be from %s to %s", minHealth, maxTimeout)
	}
	if h.Path != "" {
		if err := checkPath(h.Path); err != nil {
			wrong.add("Health.Path", "%w", err)
		}
	}
}

// fill completes and checks the limits. Unlimited is kept as a negative
// value, so that completing them again changes nothing.
func (l *RouteLimits) fill(wrong *faults) {
	l.MaxBody = limitOr(l.MaxBody, unlimited)
	l.MaxMessage = limitOr(l.MaxMessage, unlimited)
	l.MaxFragments = limitOr(l.MaxFragments, wsframe.MaxFragments)
	l.MaxFrame = limitOr(l.MaxFrame, l.MaxMessage)
	l.Ping = limitOr(l.Ping, defaultPing)
	l.Idle = limitOr(l.Idle, unlimited)
	l.PerMinute = limitOr(l.PerMinute, unlimited)
	if l.Ping != unlimited && (l.Ping < minPing || l.Ping > maxPing) {
		wrong.add("Limits.Ping", "must be from %s to %s, or none", minPing, maxPing)
	}
	if l.Idle != unlimited && (l.Idle < minIdle || l.Idle > maxIdle) {
		wrong.add("Limits.Idle", "must be from %s to %s, or none", minIdle, maxIdle)
	}
}

// unlimited is the value of a completed limit that is switched off.
const unlimited = -1

// limitOr completes a limit: 0 is unset and becomes def, and every negative
// value is no limit. It is idempotent.
func limitOr[T ~int | ~int64](limit, def T) T {
	return max(cmp.Or(limit, def), unlimited)
}

// bound converts a completed limit for code that takes 0 as no limit.
func bound[T ~int | ~int64](limit T) T { return max(limit, 0) }

// checkHost reports what is wrong with the host of a route.
func checkHost(host string) error {
	name := strings.TrimPrefix(host, "*.")
	if err := checkASCII(host); err != nil {
		return err
	}
	switch {
	case host == "":
		return nil
	case name == "" || name != strings.ToLower(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "."):
		return fmt.Errorf("%q is not a host in small letters, such as app.example or *.app.example", host)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q: a star stands for whole names at the front only, as in *.app.example", host)
	}
	if strings.Contains(name, ":") || !isPlainHost(name) {
		return fmt.Errorf("%q is not a host; ports are not part of it", host)
	}
	if _, err := netip.ParseAddr(name); err == nil && name != host {
		return fmt.Errorf("%q: a star stands for names, and an address has none", host)
	}
	return checkHostName(name)
}

// checkPath reports what is wrong with a path of the configuration.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("%q does not begin with a slash", p)
	}
	if urlpath.Clean(p) != p || strings.ContainsAny(p, `\;%?#*{} `) {
		return fmt.Errorf("%q is no plain path such as /chat or /chat/: no empty, . or .. parts, and none of \\ ; %% ? # * { } and spaces", p)
	}
	return nil
}

// CheckUpstream reports what is wrong with an entry of [Route.Upstreams].
func CheckUpstream(s string) error {
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		if err := checkSocketPath(socket); err != nil {
			return fmt.Errorf("%q: %w", s, err)
		}
		return nil
	}
	if strings.Contains(s, "@") { // which may be a password, not to be shown
		return errors.New("an upstream has no user and no password")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is none of http://host:port, https://host:port and unix:/path/of/socket", s)
	case checkHostName(u.Hostname()) != nil:
		return checkHostName(u.Hostname())
	case checkURLPort(u) != nil:
		return fmt.Errorf("%q: %w", s, checkURLPort(u))
	case strings.ContainsAny(s, "?#"): // which may be secret, too
		return errors.New("an upstream has no query and no fragment; it gets those that the client sent")
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("%q: an upstream is scheme, host and port only; it gets the path and the query that the client sent", s)
	}
	return nil
}

// checkIdentity checks the headers that tell the upstream who a client is.
func (r *Route) checkIdentity(wrong *faults) {
	cannot := func(name string) bool {
		return !httpx.IsToken(name) || reserved[http.CanonicalHeaderKey(name)] || strings.HasPrefix(fold(name), "sec-")
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if cannot(name) {
			wrong.addKey("Headers", name, "cannot be the header of an identity")
		}
		if r.Headers[name] == "" {
			wrong.addKey("Headers", name, "needs the name of a claim, such as sub")
		}
		if other, twice := seen[fold(name)]; twice {
			wrong.addKey("Headers", name, "servers do not tell it from %q", other)
		}
		seen[fold(name)] = name
	}
	if r.Assertion == "" {
		return
	}
	if cannot(r.Assertion) {
		wrong.add("Assertion", "%q cannot be the header of an identity", r.Assertion)
	}
	if other, twice := seen[fold(r.Assertion)]; twice {
		wrong.add("Assertion", "servers do not tell %q from the header %q", r.Assertion, other)
	}
}

package config

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"wsauth/idp"
	"wsauth/store"
)

// Settings is the content of a file. The fields correspond to the keys in
// their tags, which docs/configuration.md describes.
//
// The tag "file" marks file names, which are relative to the folder of the
// configuration. "off" allows the word [Off] instead of a file. "enum" lists
// the valid words. "positive" excludes zero.
type Settings struct {
	Listen                        string        `yaml:"listen"`
	TLS                           TLS           `yaml:"tls"`
	Data                          string        `yaml:"data" file:""`
	Keys                          string        `yaml:"keys" file:""`
	Issuer                        string        `yaml:"issuer"`
	Users                         string        `yaml:"users" file:""`
	InsecureDemoUser              bool          `yaml:"insecure_demo_user"`
	InsecureAcceptLostRevocations bool          `yaml:"insecure_accept_lost_revocations"`
	AccessTTL                     time.Duration `yaml:"access_ttl" positive:""`
	RefreshTTL                    time.Duration `yaml:"refresh_ttl" positive:""`
	SessionTTL                    time.Duration `yaml:"session_ttl" positive:""`
	RefreshGrace                  time.Duration `yaml:"refresh_grace"`
	RefreshRetry                  time.Duration `yaml:"refresh_retry"`
	IssuedLeeway                  time.Duration `yaml:"issued_leeway" positive:""`
	IntegerSubjects               bool          `yaml:"integer_subjects"`
	InsecureUntyped               bool          `yaml:"insecure_untyped"`
	MaxSockets                    int           `yaml:"max_sockets"`
	WhenFull                      string        `yaml:"when_full" enum:"end_oldest,refuse"`
	LoginsPerHour                 int           `yaml:"logins_per_hour"`
	TicketBurst                   int           `yaml:"ticket_burst" positive:""`
	TicketRate                    int           `yaml:"ticket_rate" positive:""`
	MaxConnections                int           `yaml:"max_connections"`
	MaxConnectionsPerAddress      int           `yaml:"max_connections_per_address"`
	MaxUnauthenticated            int           `yaml:"max_unauthenticated" positive:""`
	MaxUnauthenticatedPerAddress  int           `yaml:"max_unauthenticated_per_address" positive:""`
	TrustedProxies                []string      `yaml:"trusted_proxies"`
	ForwardedSource               string        `yaml:"forwarded_source" enum:"x-forwarded-for,forwarded,proxy_protocol"`
	ForwardedScheme               string        `yaml:"forwarded_scheme" enum:"http,https"`
	ForwardedHost                 bool          `yaml:"forwarded_host"`
	ForwardedPort                 bool          `yaml:"forwarded_port"`
	Origins                       Origins       `yaml:"origins"`
	Providers                     []Provider    `yaml:"providers"`
	Log                           Log           `yaml:"log"`
	Auth                          Auth          `yaml:"auth"`
	Metrics                       Metrics       `yaml:"metrics"`
	Admin                         Admin         `yaml:"admin"`
	Drain                         time.Duration `yaml:"drain" positive:""`
	Watch                         bool          `yaml:"watch"`
	Store                         Store         `yaml:"store"`
	ClusterSecretFile             string        `yaml:"cluster_secret_file" file:""`
	Routes                        []Route       `yaml:"routes"`
}

// AdminSocketName is the default name of the operators' socket in the data
// folder.
const AdminSocketName = "admin.sock"

// Off disables a file. To use a file of that name, write "./off".
const Off = "off"

// TLS configures the certificate of the server.
type TLS struct {
	Cert string `yaml:"cert" file:""`
	Key  string `yaml:"key" file:""`
}

// A Provider configures an identity provider.
type Provider struct {
	Preset    string    `yaml:"preset"`
	Issuer    string    `yaml:"issuer"`
	Audience  OneOrMore `yaml:"audience"`
	ClientID  OneOrMore `yaml:"client_id"`
	Namespace string    `yaml:"namespace"`
	Typ       string    `yaml:"typ"`
	Keys      string    `yaml:"keys"`

	EventIssuer             string        `yaml:"event_issuer"`
	AuthorizedParties       OneOrMore     `yaml:"authorized_parties"`
	HostedDomain            OneOrMore     `yaml:"hosted_domain"`
	InsecureAuthorizedParty OneOrMore     `yaml:"insecure_authorized_party"`
	IgnoredAudiences        OneOrMore     `yaml:"ignored_audiences"`
	Subject                 string        `yaml:"subject"`
	IntegerSubjects         bool          `yaml:"integer_subjects"`
	Roles                   string        `yaml:"roles"`
	RoleKeys                bool          `yaml:"role_keys"`
	Algorithms              OneOrMore     `yaml:"algorithms"`
	MaxLifetime             time.Duration `yaml:"max_lifetime" positive:""`
	MaxToken                Size          `yaml:"max_token" positive:""`
	InsecureHTTP            bool          `yaml:"insecure_http"`
	Proxy                   string        `yaml:"proxy"`
}

func (p *Provider) preset() { p.Preset, p.MaxToken = "standard", idp.DefaultMaxTokenBytes }

// Log configures the log.
type Log struct {
	Format            string `yaml:"format" enum:"text,json"`
	Level             string `yaml:"level" enum:"debug,info,warn,error"`
	Access            bool   `yaml:"access"`
	RefusalsPerSecond int    `yaml:"refusals_per_second"`
}

// Auth configures the endpoints of the gateway itself.
type Auth struct {
	Prefix  string   `yaml:"prefix"`
	Enabled bool     `yaml:"enabled"`
	CORS    AuthCORS `yaml:"cors"`
}

// Metrics configures the address of the metrics.
type Metrics struct {
	Listen string `yaml:"listen"`
}

// Admin configures how operators reach the running gateway.
type Admin struct {
	Socket    string `yaml:"socket" file:"" off:""`
	Listen    string `yaml:"listen"`
	TokenFile string `yaml:"token_file" file:""`
	Host      string `yaml:"host"`
}

// A Route configures a proxy.Route.
type Route struct {
	Host            string               `yaml:"host"`
	Path            string               `yaml:"path"`
	Upstream        string               `yaml:"upstream"`
	Upstreams       []string             `yaml:"upstreams"`
	TLS             UpstreamTLS          `yaml:"tls"`
	Health          Health               `yaml:"health"`
	Public          bool                 `yaml:"public"`
	Sockets         bool                 `yaml:"sockets"`
	Requirement     string               `yaml:"requirement" enum:"access,optional,refresh,fresh"`
	Scopes          []string             `yaml:"scopes"`
	Claims          map[string]OneOrMore `yaml:"claims"`
	Extractors      []Extractor          `yaml:"extractors"`
	AppParameters   []string             `yaml:"app_parameters"`
	Origins         Origins              `yaml:"origins"`
	CORS            CORS                 `yaml:"cors"`
	Refusal         string               `yaml:"refusal" enum:"http,close"`
	Headers         map[string]string    `yaml:"headers"`
	HeaderLists     string               `yaml:"header_lists" enum:"comma,json"`
	Assertion       string               `yaml:"assertion"`
	KeepCredential  bool                 `yaml:"keep_credential"`
	LenientPaths    bool                 `yaml:"lenient_paths"`
	Limits          Limits               `yaml:"limits"`
	ConnectTimeout  time.Duration        `yaml:"connect_timeout" positive:""`
	ResponseTimeout time.Duration        `yaml:"response_timeout" positive:""`
}

// UpstreamTLS configures which upstream servers are trusted.
type UpstreamTLS struct {
	CA                 string `yaml:"ca" file:""`
	ServerName         string `yaml:"server_name"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// Health configures the health checks of upstreams.
type Health struct {
	Path    string        `yaml:"path"`
	Every   time.Duration `yaml:"every" positive:""`
	Timeout time.Duration `yaml:"timeout" positive:""`
}

// Limits are the limits of a route; 0 means no limit.
type Limits struct {
	MaxBody             Size          `yaml:"max_body"`
	MaxFrame            Size          `yaml:"max_frame"`
	MaxMessage          Size          `yaml:"max_message"`
	MaxFragments        int           `yaml:"max_fragments"`
	Idle                time.Duration `yaml:"idle"`
	Ping                time.Duration `yaml:"ping"`
	HandshakesPerMinute int           `yaml:"handshakes_per_minute"`
}

// Default returns the settings of an empty file.
func Default() Settings {
	return Settings{
		Listen:       "127.0.0.1:8000",
		AccessTTL:    15 * time.Minute,
		RefreshTTL:   30 * 24 * time.Hour,
		SessionTTL:   90 * 24 * time.Hour,
		RefreshGrace: 10 * time.Second,
		RefreshRetry: 24 * time.Hour,
		IssuedLeeway: store.ClockStep,
		MaxSockets:   100,
		TicketBurst:  100,
		TicketRate:   2,

		WhenFull:      "end_oldest",
		LoginsPerHour: 300,

		MaxUnauthenticated:           1000,
		MaxUnauthenticatedPerAddress: 100,

		ForwardedSource: "x-forwarded-for",

		Log:   Log{Format: "text", Level: "info", RefusalsPerSecond: 100},
		Auth:  Auth{Prefix: "/auth", Enabled: true, CORS: AuthCORS{MaxAge: defaultCORSMaxAge}},
		Drain: 10 * time.Second,
		Watch: true,
		Store: Store{MaxRevocations: store.DefaultRevocationLimit, MaxSessions: store.DefaultSessionLimit, MaxTickets: store.DefaultTicketLimit, Staleness: 10 * time.Second, OnStale: "close"},
	}
}

// preset sets the defaults of a route.
func (r *Route) preset() {
	*r = Route{
		Health:          Health{Every: 5 * time.Second, Timeout: 2 * time.Second},
		Requirement:     "access",
		Extractors:      defaultExtractors(),
		CORS:            CORS{Methods: []string{"GET", "HEAD", "POST"}, Expose: []string{"Retry-After"}, MaxAge: defaultCORSMaxAge},
		Refusal:         "http",
		HeaderLists:     "comma",
		Limits:          Limits{MaxFragments: 16384, Ping: 30 * time.Second},
		ConnectTimeout:  5 * time.Second,
		ResponseTimeout: 60 * time.Second,
	}
}

// setDependent sets defaults that depend on other keys. isSet reports whether a
// key of the route is set.
func (r *Route) setDependent(isSet func(key string) bool) {
	if !isSet("headers") && !r.Public {
		r.Headers = map[string]string{"X-User": "sub"}
	}
	if !isSet("limits.max_frame") {
		r.Limits.MaxFrame = r.Limits.MaxMessage
	}
}

// allUpstreams returns the upstreams set by either key.
func (r *Route) allUpstreams() []string {
	if r.Upstream != "" {
		return append([]string{r.Upstream}, r.Upstreams...)
	}
	return r.Upstreams
}

// hot lists the keys that a running server applies when the file changes,
// without a restart.
var hot = map[string]bool{"routes": true, "log.level": true}

// NeedRestart returns the keys that differ and require a restart of the
// server.
func NeedRestart(running, next Settings) []string {
	keys := differingKeys("", reflect.ValueOf(running), reflect.ValueOf(next))
	// With no routes, the server is the demonstration.
	if (len(running.Routes) == 0) != (len(next.Routes) == 0) {
		keys = append(keys, "routes")
	}
	return keys
}

func differingKeys(prefix string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		key := prefix + a.Type().Field(i).Tag.Get("yaml")
		switch {
		case hot[key] || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
		case a.Field(i).Kind() == reflect.Struct:
			keys = append(keys, differingKeys(key+".", a.Field(i), b.Field(i))...)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

// PlainHTTP describes the danger of serving an address without TLS with these
// settings, or returns "". A trusted proxy is assumed to terminate TLS, unless
// forwarded_scheme says otherwise.
func (s *Settings) PlainHTTP(address string) string {
	if s.TLS.Cert != "" || len(s.TrustedProxies) > 0 && s.ForwardedScheme != "http" || isLocal(address) {
		return ""
	}
	text := address + " serves plain HTTP to other machines: attackers on the network can read passwords and tokens"
	if s.Auth.Enabled {
		text += ", and browsers discard the cookies of a login, which require HTTPS"
	}
	return text + "; set tls.cert and tls.key, list the proxy that serves TLS in trusted_proxies, or listen on 127.0.0.1"
}

// isLocal reports whether only this machine can reach an address, as far as
// it is known without resolving names.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // reported elsewhere
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	// RFC 6761 section 6.3.
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

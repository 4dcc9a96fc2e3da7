package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"wsauth/internal/gateway/fault"
)

// fieldGroups matches the fields of gateway.Config that only group other
// fields: each field of the group has its own key.
var fieldGroups = regexp.MustCompile(`^(Tokens|Limits|Login|Front)\.`)

// fieldKeys maps the fields of gateway.Config, proxy.Route and nested types to
// keys.
var fieldKeys = map[string]string{
	"Issuer":       "issuer",
	"AccessTTL":    "access_ttl",
	"RefreshTTL":   "refresh_ttl",
	"SessionTTL":   "session_ttl",
	"RefreshGrace": "refresh_grace",
	"RefreshRetry": "refresh_retry",
	"IssuedLeeway": "issued_leeway",

	"IntegerSubjects": "integer_subjects",
	"InsecureUntyped": "insecure_untyped",

	"PerSubject":                "max_sockets",
	"WhenFull":                  "when_full",
	"Staleness":                 "store.staleness",
	"WhenStale":                 "store.on_stale",
	"Unauthenticated":           "max_unauthenticated",
	"UnauthenticatedPerAddress": "max_unauthenticated_per_address",

	"LoginsPerHour":            "logins_per_hour",
	"TicketBurst":              "ticket_burst",
	"TicketRate":               "ticket_rate",
	"MaxConnections":           "max_connections",
	"MaxConnectionsPerAddress": "max_connections_per_address",

	"TrustedProxies":  "trusted_proxies",
	"ForwardedSource": "forwarded_source",
	"ForwardedScheme": "forwarded_scheme",
	"ForwardedHost":   "forwarded_host",
	"ForwardedPort":   "forwarded_port",

	"AuthCORS":    "auth.cors",
	"CORS":        "cors",
	"Credentials": "credentials",
	"Methods":     "methods",
	"Expose":      "expose",
	"MaxAge":      "max_age",

	"Origins":        "origins",
	"AnyOrigin":      "origins",
	"AppParameters":  "app_parameters",
	"Providers":      "providers",
	"Drain":          "drain",
	"Routes":         "routes",
	"Prefix":         "auth.prefix",
	"NoAuth":         "auth.enabled",
	"AccessLog":      "log.access",
	"Host":           "host",
	"Path":           "path",
	"Upstreams":      "upstreams",
	"TLS":            "tls",
	"Health":         "health",
	"Public":         "public",
	"Sockets":        "sockets",
	"Requirement":    "requirement",
	"Scopes":         "scopes",
	"Claims":         "claims",
	"Extractors":     "extractors",
	"Refusal":        "refusal",
	"Headers":        "headers",
	"HeaderLists":    "header_lists",
	"Assertion":      "assertion",
	"KeepCredential": "keep_credential",
	"LenientPaths":   "lenient_paths",
	"Limits":         "limits",
	"Connect":        "connect_timeout",
	"Response":       "response_timeout",
	"MaxBody":        "max_body",
	"MaxFrame":       "max_frame",
	"MaxMessage":     "max_message",
	"MaxFragments":   "max_fragments",
	"Idle":           "idle",
	"Ping":           "ping",
	"PerMinute":      "handshakes_per_minute",
	"Every":          "every",
	"Timeout":        "timeout",
}

var fieldName = regexp.MustCompile(`[A-Za-z]+`)

// keyOf returns the key that a fault of the gateway concerns, or "" if files
// have no such key.
func (d *Document) keyOf(f *fault.Fault) string {
	known := true
	key := fieldName.ReplaceAllStringFunc(fieldGroups.ReplaceAllString(f.Field, ""), func(name string) string {
		k, ok := fieldKeys[name]
		known = known && ok
		return k
	})
	if !known {
		return ""
	}
	if i := strings.Index(key, ".upstreams"); i >= 0 {
		key = d.upstreamKey(key[:i], key[i+len(".upstreams"):])
	}
	if f.Key != "" {
		key = child(key, f.Key)
	}
	return key
}

// upstreamKey returns the key of a route's upstream with the given index,
// "[0]" or "". If both upstream and upstreams are set, upstream is the first.
func (d *Document) upstreamKey(route, index string) string {
	single, several := route+".upstream", route+".upstreams"
	if d.lines[single] == 0 && d.lines[several] > 0 {
		return several + index
	}
	i, err := strconv.Atoi(strings.Trim(index, "[]"))
	if err != nil || i == 0 {
		return single
	}
	return fmt.Sprintf("%s[%d]", several, i-1)
}

package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"wsauth/internal/gateway/telemetry"
)

// readingsOf returns the paths that servers may read from a path with escaped
// slashes, backslashes, semicolons or empty segments. A server may decode
// escaped separators, treat backslashes as slashes, cut parameters at a
// semicolon, and merge slashes. readingsOf returns nil if the path is ambiguous
// in other ways, or if a reading leads to a parent or to another host.
func readingsOf(escaped, path string) []string {
	if !utf8.ValidString(path) || holdsEscape(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return nil
	}
	kept, ok := keepSeparators(escaped)
	if !ok {
		return nil
	}
	begins := []string{path, kept}
	if !isASCII(path) {
		loose := compatible(path)
		if holdsEscape(loose) {
			return nil
		}
		begins = append(begins, loose, compatible(kept))
	}
	var all []string
	for _, begin := range begins {
		for options := range 1 << 3 { // each combination of the three below
			read := begin
			if options&1 != 0 {
				read = strings.ReplaceAll(read, `\`, "/")
			}
			if options&2 != 0 {
				read = cutParameters(read)
			}
			if strings.HasPrefix(read, "//") || leadsUp(read) { // some read "//x/y" as the path /y of a host x
				return nil
			}
			if options&4 != 0 {
				read = mergeSlashes(read)
			}
			if !slices.Contains(all, read) {
				all = append(all, read)
			}
		}
	}
	return all
}

// needsReadings reports whether a path may need readings, which take too long
// for an event loop.
func needsReadings(u *url.URL) bool {
	return u.RawPath != "" || strings.Contains(u.Path, "//") || strings.ContainsAny(u.Path, `;\`)
}

// keepSeparators decodes a path, except for the escapes of slashes,
// backslashes and semicolons. It reports false for an escaped dot, which has
// no legitimate use.
func keepSeparators(escaped string) (string, bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(escaped, '%')
		if i < 0 {
			b.WriteString(escaped)
			return b.String(), true
		}
		if len(escaped) < i+3 {
			return "", false
		}
		b.WriteString(escaped[:i])
		escape := strings.ToUpper(escaped[i : i+3])
		switch escape {
		case "%2E":
			return "", false
		case "%2F", "%5C", "%3B":
			b.WriteString(escape)
		default:
			c, err := url.PathUnescape(escape)
			if err != nil {
				return "", false
			}
			b.WriteString(c)
		}
		escaped = escaped[i+3:]
	}
}

// cutParameters cuts each segment of a path at its first semicolon.
func cutParameters(path string) string {
	if !strings.Contains(path, ";") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i], _, _ = strings.Cut(part, ";")
	}
	return strings.Join(parts, "/")
}

// mergeSlashes replaces each run of slashes with one slash.
func mergeSlashes(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b.WriteByte(path[i])
		}
	}
	return b.String()
}

// leadsUp reports whether a segment of path consists of dots and spaces only.
// Some servers ignore such a segment or treat it as the parent.
func leadsUp(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && strings.Trim(part, ". ") == "" {
			return true
		}
	}
	return false
}

// mayServe reports whether p may serve a request for host whose path has these
// readings: each reading must belong to p. If the routes of the host have
// different rules, p must also have LenientPaths, because a server may have
// yet another reading.
func (t *routeTable) mayServe(host string, p *proxy, readings []string) bool {
	return (p.route.LenientPaths || t.router.hasOneRule(host)) && !slices.ContainsFunc(readings, func(reading string) bool {
		return t.isOwn(reading) || t.router.lookUp(host, reading) != p || t.router.bypassed(routeKey{host: host, path: reading}, p) != nil
	})
}

// mayOpen reports whether a route may serve a socket at a path, either at host
// or at the host of any route. host is that of the ticket request. readings is
// nil unless the path has several. mayOpen returns true if no route is found:
// the socket may be for another gateway that shares the store.
func (t *routeTable) mayOpen(host, path string, readings []string) bool {
	hosts := []string{host}
	for _, p := range t.byName {
		hosts = append(hosts, strings.Replace(p.route.Host, "*", "any", 1))
	}
	found := false
	for _, host := range hosts {
		p := t.router.lookUp(host, path)
		switch {
		case p == nil:
		case readings == nil && t.router.bypassed(routeKey{host: host, path: path}, p) == nil, readings != nil && t.mayServe(host, p, readings):
			return true
		default:
			found = true
		}
	}
	return !found
}

// CheckTicketPath returns an error if the routes would refuse every socket at
// the path for which r requests a ticket, because servers interpret the path in
// different ways.
func (rs *Routes) CheckTicketPath(r *http.Request, path string) error {
	decoded, err := url.PathUnescape(path)
	isPlain := err == nil && isPlain(path, decoded)
	var readings []string
	if err == nil && !isPlain {
		readings = readingsOf(path, decoded)
	}
	switch {
	case readings == nil && !isPlain:
		return errors.New("path can be read in two ways: write it without dots, controls and escapes of escapes")
	case rs.table.Load().mayOpen(hostOf(r), decoded, readings):
		return nil
	case readings == nil:
		return errors.New("path is that of another route for some servers: write it with the capitals and the final slash of its route")
	}
	return errors.New(looseDetail)
}

const looseDetail = "path can be read in two ways, and routes of this host have different rules: write it without empty parts, backslashes, semicolons and escaped slashes, or set lenient_paths for the route"

var looseHere = telemetry.Problem(http.StatusBadRequest, "invalid_request", "The "+looseDetail)

// refuseReadings refuses a request whose path has readings that its route may
// not serve.
func (rs *Routes) refuseReadings(w http.ResponseWriter, r *http.Request, m *Match) {
	p := m.lookUp(r)
	if p == nil || p.route.LenientPaths || m.table.router.hasOneRule(m.key.host) {
		ambiguous(w, r) // one of the readings belongs to another route
		return
	}
	telemetry.From(r.Context()).SetRoute(p.label)
	rs.log.Info("refused", "reason", "invalid_request", "route", p.route.name(), "remote", r.RemoteAddr,
		"error", "the path can be read in two ways, and routes of its host have different rules; lenient_paths of the route would accept it")
	refuseAsAmbiguous(w, r, looseHere)
}

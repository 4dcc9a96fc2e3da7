package wsclient

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"wsauth/internal/inspect"
)

// A Target holds the address of a socket and of the login endpoints.
type Target struct {
	Socket *url.URL // with the scheme http or https, like its handshake
	Auth   *url.URL // base URL without a trailing slash
}

// ParseTarget parses the address of a socket, with the scheme ws, wss, http or
// https. It also parses the address of the login endpoints, which may be a path
// on the same server. Errors contain no part of a query.
func ParseTarget(socket, auth string) (Target, error) {
	u, err := parseAddress("the address of the socket", socket, "ws", "wss", "http", "https")
	if err != nil {
		return Target{}, err
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	if u.Path == "" {
		u.Path = "/"
	}
	base, err := parseBase(u, auth)
	if err != nil {
		return Target{}, err
	}
	return Target{Socket: u, Auth: base}, nil
}

// parseBase parses the address of the login endpoints, which may be relative
// to that of the socket.
func parseBase(socket *url.URL, auth string) (*url.URL, error) {
	const what = "the address of the login endpoints"
	below, err := url.Parse(auth)
	if err != nil && !isWithoutScheme(auth) {
		return nil, fmt.Errorf("%s: %w", what, withoutURL(err))
	}
	if err != nil || below.Scheme != "" {
		if below, err = parseAddress(what, auth, "http", "https"); err != nil {
			return nil, err
		}
	}
	base := socket.ResolveReference(below)
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
	if err := checkURL(base); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if base.RawQuery != "" {
		return nil, errors.New(what + ": leave out the query, which begins with ?")
	}
	return base, nil
}

// parseAddress parses an absolute address. If the scheme is missing or wrong,
// the error says what to write. The first scheme is the one without TLS, the
// second the one with TLS.
func parseAddress(what, text string, schemes ...string) (*url.URL, error) {
	front, _, _ := strings.Cut(text, "?")
	front, _, _ = strings.Cut(front, "#")
	scheme, rest, _ := strings.Cut(front, ":")
	if better := inBrackets(schemes[0], front); better != "" {
		return nil, fmt.Errorf("%s has an IPv6 address, which must be in brackets: write %s", what, better)
	}
	switch known := slices.Contains(schemes, strings.ToLower(scheme)); {
	case known && !strings.HasPrefix(rest, "//"):
		if better := withScheme(strings.ToLower(scheme), rest); better != "" {
			return nil, fmt.Errorf("%s lacks the slashes after its scheme: write %s", what, better)
		}
	case !known && isWithoutScheme(front):
		if better := withScheme(schemes[0], front); better != "" {
			if u, err := url.Parse(better); err == nil && isExposed(u) {
				return nil, fmt.Errorf("%s has no scheme: write %s, or %s:// if the server has no TLS", what, withScheme(schemes[1], front), schemes[0])
			}
			return nil, fmt.Errorf("%s has no scheme: write %s", what, better)
		}
	case !known && scheme != front:
		return nil, fmt.Errorf("%s has the scheme %s, and must begin with %s and a host", what, inspect.Printable(scheme), listOf(schemes))
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, unreadable(rest, err))
	}
	if !slices.Contains(schemes, u.Scheme) || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%s must begin with %s and a host", what, listOf(schemes))
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return u, nil
}

// isWithoutScheme reports whether an address begins with a host, with or
// without a port, instead of a scheme.
func isWithoutScheme(text string) bool {
	front, _, _ := strings.Cut(text, "?")
	if strings.Contains(front, "://") || strings.HasPrefix(front, "/") && !strings.HasPrefix(front, "//") {
		return false
	}
	_, port, hasPort := strings.Cut(authorityOf(front), ":")
	return !hasPort || strings.HasPrefix(front, "[") || port != "" && port[0] >= '0' && port[0] <= '9'
}

// authorityOf returns the host and port at the beginning of text.
func authorityOf(text string) string {
	authority, _, _ := strings.Cut(strings.TrimLeft(text, "/"), "/")
	return authority[strings.LastIndex(authority, "@")+1:]
}

// withScheme returns the address with the given scheme, without user, query
// and fragment. It returns "" if there would be no host.
func withScheme(scheme, rest string) string {
	_, path, hasPath := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	authority := authorityOf(rest)
	if strings.HasPrefix(authority, ":") {
		authority = "localhost" + authority
	}
	if hasPath {
		authority += "/" + path
	}
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return inspect.Printable(u.String())
}

// listOf formats schemes as "ws://, wss:// or https://".
func listOf(schemes []string) string {
	last := len(schemes) - 1
	return strings.Join(schemes[:last], "://, ") + ":// or " + schemes[last] + "://"
}

// inBrackets returns an address with the missing brackets of its IPv6 host,
// without user and query. If no brackets are missing, it returns "". scheme is
// used if the address has none.
func inBrackets(scheme, front string) string {
	if begins, rest, found := strings.Cut(front, "://"); found {
		scheme, front = begins, rest
	}
	authority := authorityOf(front)
	host, port := authority, ""
	if _, err := netip.ParseAddr(host); err != nil {
		last := strings.LastIndex(host, ":")
		if last < 0 {
			return ""
		}
		host, port = host[:last], host[last:]
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return ""
	}
	_, path, hasPath := strings.Cut(strings.TrimLeft(front, "/"), "/")
	if hasPath {
		path = "/" + path
	}
	return inspect.Printable(strings.ToLower(scheme) + "://[" + host + "]" + port + path)
}

// checkURL returns an error if an address has parts that it must not have.
func checkURL(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("leave out the name and the password: --user=NAME logs in")
	case u.Fragment != "":
		return errors.New("leave out the fragment, which begins with #")
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return fmt.Errorf("the port %s must be from 1 to 65535", port)
		}
	}
	if strings.HasSuffix(u.Host, ":") && strings.HasPrefix(u.Path, "//") {
		return errors.New("it has two schemes: leave out the first")
	}
	return nil
}

// unreadable explains why url.Parse failed.
func unreadable(rest string, err error) error {
	err = withoutURL(err)
	authority := authorityOf(rest)
	_, port, hasPort := strings.Cut(authority, ":")
	switch {
	case strings.HasPrefix(authority, "[") && strings.Contains(authority, "%"):
		return errors.New("a zone after an IPv6 address begins with %25, as in [fe80::1%25eth0]")
	case strings.HasPrefix(authority, "["):
		return errors.New("an IPv6 address must be in brackets, as in [::1]:8000")
	case hasPort && strings.Contains(err.Error(), "invalid port"):
		return fmt.Errorf("the port %s must be a number from 1 to 65535", inspect.Printable(port))
	case strings.Contains(err.Error(), "invalid URL escape"):
		return fmt.Errorf("%w: write a percent sign as %%25", err)
	}
	return err
}

// isExposed reports whether others on the network can read what is sent to u,
// that is, over http to another machine.
func isExposed(u *url.URL) bool {
	if u.Scheme == "https" || u.Scheme == "wss" || u.Hostname() == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err != nil || !addr.Unmap().IsLoopback()
}

// withoutURL removes the address from an error of net/http or net/url, because
// its query may contain a credential.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

package wsclient

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Target is where a socket is, and where the logins are that open it.
type Target struct {
	Socket *url.URL // of the scheme http or https, as its handshake is
	Auth   *url.URL // what the endpoints of the logins are below; without a slash at its end
}

// ParseTarget reads the address of a socket, whose scheme is ws, wss, http or https, and that of the logins, which may be a path of
// the same server. Its errors repeat nothing of a query.
func ParseTarget(socket, auth string) (Target, error) {
	u, err := url.Parse(socket)
	if err != nil {
		return Target{}, fmt.Errorf("the address of the socket: %w", withoutURL(err))
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	if err := checkURL(u); err != nil {
		return Target{}, fmt.Errorf("the address of the socket: %w", err)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	below, err := url.Parse(auth)
	if err != nil {
		return Target{}, fmt.Errorf("the address of the logins: %w", withoutURL(err))
	}
	base := u.ResolveReference(below)
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
	if err := checkURL(base); err != nil {
		return Target{}, fmt.Errorf("the address of the logins: %w", err)
	}
	if base.RawQuery != "" {
		return Target{}, errors.New("the address of the logins: it has no query")
	}
	return Target{Socket: u, Auth: base}, nil
}

// checkURL refuses what is no full address of the scheme http or https.
func checkURL(u *url.URL) error {
	switch {
	case !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Host == "" || u.Opaque != "":
		return errors.New("it begins with ws://, wss://, http:// or https://, and a host")
	case u.User != nil:
		return errors.New("there is no name or password in it")
	case u.Fragment != "":
		return errors.New("it has no fragment")
	}
	return nil
}

// Exposed reports whether others on the network can read what is sent to u: over http to another machine.
func Exposed(u *url.URL) bool {
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err != nil || !addr.Unmap().IsLoopback()
}

// withoutURL is the cause of an error of net/http or net/url, without the address: its query may hold a credential.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

package forwarded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Networks is a set of trusted peers. The zero value is empty.
type Networks struct {
	prefixes []netip.Prefix
	unix     bool
}

// Names that may be used in a list of networks.
const (
	nameUnix    = "unix"
	namePrivate = "private"
)

// private lists the networks of RFC 1918 and RFC 4193, and the loopback
// addresses.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("::1/128"),
}

// ParseNetwork parses an entry of a list: an address, a network such as
// 10.0.0.0/8, "private", or "unix" for all peers on Unix sockets.
func ParseNetwork(entry string) (Networks, error) {
	switch strings.ToLower(entry) {
	case nameUnix:
		return Networks{unix: true}, nil
	case namePrivate:
		return Networks{prefixes: private}, nil
	}
	if addr, err := netip.ParseAddr(entry); err == nil {
		addr = addr.Unmap()
		switch {
		case addr.Zone() != "":
			return Networks{}, fmt.Errorf("%q: leave out the zone; the address applies to every interface", entry)
		case addr.IsUnspecified():
			return Networks{}, fmt.Errorf("%q is not the address of a peer", entry)
		}
		return Networks{prefixes: []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}}, nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return Networks{}, fmt.Errorf("%q is not an address, a network such as 10.0.0.0/8, private or unix", entry)
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return Networks{}, fmt.Errorf("%q covers all of IPv4; write it as IPv4 networks", entry)
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if masked := prefix.Masked(); masked != prefix {
		return Networks{}, fmt.Errorf("%q has bits beyond its length; write %s, or %s for that address alone", entry, masked, prefix.Addr())
	}
	return Networks{prefixes: []netip.Prefix{prefix}}, nil
}

// ParseNetworks returns the union of all entries. The error joins one for each
// invalid entry.
func ParseNetworks(entries []string) (Networks, error) {
	var all Networks
	var faults []error
	for _, entry := range entries {
		n, err := ParseNetwork(entry)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all.prefixes = append(all.prefixes, n.prefixes...)
		all.unix = all.unix || n.unix
	}
	return all, errors.Join(faults...)
}

// IsEmpty reports whether n is empty.
func (n Networks) IsEmpty() bool { return len(n.prefixes) == 0 && !n.unix }

// Wide returns networks that are too large to contain only proxies, such as
// 0.0.0.0/0. They allow every client to choose its own address.
func (n Networks) Wide() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(n.prefixes), func(p netip.Prefix) bool {
		return slices.Contains(private, p) || p.Bits() >= 8 && p.Addr().Is4() || p.Bits() >= 16
	})
}

// Contains reports whether addr is the address of a trusted peer. It ignores
// zones and treats IPv4-mapped IPv6 addresses as IPv4.
func (n Networks) Contains(addr netip.Addr) bool {
	if len(n.prefixes) == 0 {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range n.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// ContainsAddr reports whether the peer of a connection is trusted.
func (n Networks) ContainsAddr(peer net.Addr) bool {
	switch peer := peer.(type) {
	case *net.TCPAddr:
		return n.Contains(peer.AddrPort().Addr())
	case *net.UnixAddr:
		return n.unix
	}
	return false
}

// containsPeer reports whether the peer that sent r is trusted.
func (n Networks) containsPeer(r *http.Request) bool {
	if len(n.prefixes) > 0 {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			return n.Contains(peer.Addr())
		}
	}
	return n.unix && isUnix(r.Context())
}

// isUnix reports whether a request arrived on a Unix socket. It checks the
// local address, because those of peers on Unix sockets contain no information.
func isUnix(ctx context.Context) bool {
	_, ok := ctx.Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}

// IsPrivate reports whether addr is in one of the networks that the name
// "private" includes.
func IsPrivate(addr netip.Addr) bool {
	return Networks{prefixes: private}.Contains(addr)
}

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

// Networks are the peers that are trusted. The zero value trusts nobody.
type Networks struct {
	prefixes []netip.Prefix
	unix     bool
}

// The names that may stand in a list of networks.
const (
	nameUnix    = "unix"
	namePrivate = "private"
)

// private are the networks of RFC 1918 and RFC 4193, and the addresses of this
// machine.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("::1/128"),
}

// ParseNetwork returns the networks that one entry of a list stands for: an
// address, a network such as 10.0.0.0/8, "private", or "unix" for every peer
// on a Unix socket.
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
			return Networks{}, fmt.Errorf("%q: leave out the zone; the address counts on every interface", entry)
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

// ParseNetworks joins what the entries stand for. The error joins one for each
// entry that is wrong.
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

// IsEmpty reports whether nobody is trusted.
func (n Networks) IsEmpty() bool { return len(n.prefixes) == 0 && !n.unix }

// Wide returns the networks that hold much more than anybody's proxies, such
// as 0.0.0.0/0. With them, every client chooses its own address.
func (n Networks) Wide() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(n.prefixes), func(p netip.Prefix) bool {
		return slices.Contains(private, p) || p.Bits() >= 8 && p.Addr().Is4() || p.Bits() >= 16
	})
}

// Contains reports whether an address is one of a trusted peer. A zone does
// not count, and an IPv4 address mapped into IPv6 is that address.
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

// isUnix reports whether a request came on a Unix socket. The names of its
// peers say nothing.
func isUnix(ctx context.Context) bool {
	_, ok := ctx.Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}

// IsPrivate reports whether an address is private, as "private" means it.
func IsPrivate(addr netip.Addr) bool {
	return Networks{prefixes: private}.Contains(addr)
}

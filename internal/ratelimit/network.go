package ratelimit

import (
	"net"
	"net/netip"
)

// Network returns the network that one client is assumed to control: an IPv4
// address or an IPv6 /64. It returns "" if remoteAddr is not a TCP address, so
// all such clients share one limit.
func Network(remoteAddr string) string {
	if n := Networks(remoteAddr); len(n) > 0 {
		return n[0]
	}
	return ""
}

// prefixes are the lengths of the IPv6 prefixes that one customer may have: a
// network, a home and a site (RFC 6177).
var prefixes = [...]int{64, 56, 48}

// Networks returns the networks of a client, smallest first: an IPv4 address,
// or the /64, /56 and /48 of an IPv6 address. It treats an IPv4-mapped IPv6
// address as IPv4, and ignores the zone. It returns nil if remoteAddr is not a
// TCP address.
func Networks(remoteAddr string) []string {
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return nil
	}
	addr := addrPort.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return []string{addr.String()}
	}
	var all []string
	for _, bits := range prefixes {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			return nil
		}
		all = append(all, prefix.String())
	}
	return all
}

// NetworkOf is like Network, but takes a net.Addr and returns a Prefix. It
// returns the zero Prefix if remote is not a TCP address.
func NetworkOf(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return NetworkOfAddr(tcp.AddrPort().Addr())
}

// PrefixOf is like Network, but returns a Prefix. It returns the zero Prefix if
// remoteAddr is not a TCP address.
func PrefixOf(remoteAddr string) netip.Prefix {
	addrPort, _ := netip.ParseAddrPort(remoteAddr) // zero if invalid
	return NetworkOfAddr(addrPort.Addr())
}

// NetworkOfAddr is like NetworkOf, but takes an address without a port.
func NetworkOfAddr(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := prefixes[0]
	if addr.Is4() {
		bits = addr.BitLen()
	}
	prefix, _ := addr.Prefix(bits) // zero if invalid
	return prefix
}

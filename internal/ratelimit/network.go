package ratelimit

import (
	"net"
	"net/netip"
)

// Network returns what one client can hold of the address space: an IPv4
// address, or a /64 of IPv6. It is "" for an address that is not one of TCP's:
// all such clients count as one.
func Network(remoteAddr string) string {
	if n := Networks(remoteAddr); len(n) > 0 {
		return n[0]
	}
	return ""
}

// prefixes are the lengths of what one customer of IPv6 may have: a network, a
// home, and a site (RFC 6177).
var prefixes = [...]int{64, 56, 48}

// Networks returns the networks of a client, smallest first: an IPv4 address
// alone, or the /64, /56 and /48 of one of IPv6. An IPv4 address is the same
// one when it comes mapped into IPv6, and a zone does not count. It is nil for
// an address that is not one of TCP's.
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

// NetworkOf is Network for an address of the net package. It is the zero
// Prefix where that is "".
func NetworkOf(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return NetworkOfAddr(tcp.AddrPort().Addr())
}

// PrefixOf is Network as a Prefix. It is the zero Prefix where that is "".
func PrefixOf(remoteAddr string) netip.Prefix {
	addrPort, _ := netip.ParseAddrPort(remoteAddr) // the zero one for no address
	return NetworkOfAddr(addrPort.Addr())
}

// NetworkOfAddr is NetworkOf for an address without its port.
func NetworkOfAddr(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := prefixes[0]
	if addr.Is4() {
		bits = addr.BitLen()
	}
	prefix, _ := addr.Prefix(bits) // the zero one for no address
	return prefix
}

package proxyproto

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// signature is the beginning of a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// The lengths of the parts of a version 2 header, in bytes.
const (
	// The signature, version and command, protocol, and the length of the
	// rest.
	fixedV2 = len(signature) + 4
	tcp4    = 2 * (4 + 2)
	tcp6    = 2 * (16 + 2)
	unix    = 2 * 108
)

// The kinds of values that are read.
const (
	kindCRC = 0x03
	kindTLS = 0x20
)

// lengthV2 returns the length of the header that begins with data, as far as
// it is known.
func lengthV2(data []byte) int {
	if len(data) < fixedV2 {
		return fixedV2
	}
	return fixedV2 + int(binary.BigEndian.Uint16(data[fixedV2-2:]))
}

// parseV2 parses a header of version 2, which is binary.
func parseV2(data []byte) (h Header, n int, err error) {
	if len(data) > len(signature) && data[len(signature)]>>4 != 2 {
		return Header{}, 0, fmt.Errorf("%w: its version is not 2", errMalformed)
	}
	n = lengthV2(data)
	if n > maxV2 {
		return Header{}, 0, fmt.Errorf("%w: it is longer than %d bytes", errMalformed, maxV2)
	}
	if len(data) < n || len(data) < fixedV2 {
		return Header{}, 0, ErrIncomplete
	}
	data = data[:n]
	command, protocol := data[len(signature)]&0xf, data[len(signature)+1]
	switch command {
	case 0: // LOCAL: the rest must be ignored
		return Header{}, n, nil
	case 1: // PROXY
	default:
		return Header{}, 0, fmt.Errorf("%w: its command is not known", errMalformed)
	}
	if h, err = parseProxied(data, protocol); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// parseProxied parses the addresses of a header and the values after them.
func parseProxied(data []byte, protocol byte) (h Header, err error) {
	rest := data[fixedV2:]
	size := 0
	switch protocol {
	case 0x00: // unknown: the rest must be ignored
		return Header{}, nil
	case 0x11, 0x12:
		size = tcp4
	case 0x21, 0x22:
		size = tcp6
	case 0x31, 0x32:
		size = unix
	default:
		return Header{}, fmt.Errorf("%w: its protocol is not known", errMalformed)
	}
	if len(rest) < size {
		return Header{}, fmt.Errorf("%w: its addresses are cut", errMalformed)
	}
	switch protocol { // datagrams and Unix sockets have no TCP address
	case 0x11:
		h.Source, h.Destination = addrPorts(rest, 4)
	case 0x21:
		h.Source, h.Destination = addrPorts(rest, 16)
	}
	h.TLS, err = parseValues(data, fixedV2+size)
	return h, err
}

// addrPorts parses two addresses of the given size, followed by their ports.
func addrPorts(data []byte, size int) (source, destination netip.AddrPort) {
	addrPort := func(address, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(address[:size]) // size is 4 or 16
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
	}
	ports := data[2*size:]
	return addrPort(data, ports), addrPort(data[size:], ports[2:])
}

// parseValues parses the values from offset on. Each has a kind, a length in
// two bytes, and the value itself.
func parseValues(data []byte, offset int) (isTLS bool, err error) {
	var seen [256]bool
	for at := offset; at < len(data); {
		if len(data)-at < 3 {
			return false, fmt.Errorf("%w: a value is cut", errMalformed)
		}
		kind, size := data[at], int(binary.BigEndian.Uint16(data[at+1:]))
		at += 3
		if len(data)-at < size {
			return false, fmt.Errorf("%w: a value is cut", errMalformed)
		}
		value := data[at : at+size]
		switch {
		case kind != kindTLS && kind != kindCRC:
		case seen[kind]:
			return false, fmt.Errorf("%w: a value occurs twice", errMalformed)
		case kind == kindTLS && size < 5, kind == kindCRC && size != 4:
			return false, fmt.Errorf("%w: a value has the wrong length", errMalformed)
		case kind == kindCRC && !hasChecksum(data, at):
			return false, fmt.Errorf("%w: its checksum is wrong", errMalformed)
		case kind == kindTLS:
			isTLS = value[0]&1 != 0
		}
		seen[kind] = true
		at += size
	}
	return isTLS, nil
}

// hasChecksum reports whether the four bytes at the given offset are the
// CRC32c of the header, computed with zeros in their place.
func hasChecksum(data []byte, at int) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, data[:at])
	sum = crc32.Update(sum, table, make([]byte, 4))
	sum = crc32.Update(sum, table, data[at+4:])
	return sum == binary.BigEndian.Uint32(data[at:])
}

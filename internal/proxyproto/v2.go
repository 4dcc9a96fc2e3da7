package proxyproto

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// signature begins a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// What a header of version 2 consists of, in bytes.
const (
	fixedV2 = len(signature) + 4 // version and command, protocol, and the length of the rest
	tcp4    = 2 * (4 + 2)
	tcp6    = 2 * (16 + 2)
	unix    = 2 * 108
)

// The kinds of values behind the addresses that are read.
const (
	kindCRC = 0x03
	kindTLS = 0x20
)

// lengthV2 returns how long the header is that begins with data, as far as
// that is known.
func lengthV2(data []byte) int {
	if len(data) < fixedV2 {
		return fixedV2
	}
	return fixedV2 + int(binary.BigEndian.Uint16(data[fixedV2-2:]))
}

// parseV2 reads a header of version 2, which is binary.
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
	case 0: // LOCAL: nothing else counts
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

// parseProxied reads the addresses of a header, and the values behind them.
func parseProxied(data []byte, protocol byte) (h Header, err error) {
	rest := data[fixedV2:]
	size := 0
	switch protocol {
	case 0x00: // the proxy does not know; whatever follows is to be ignored
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
	switch protocol { // datagrams and Unix sockets of the proxy have no address of TCP
	case 0x11:
		h.Source, h.Destination = addrPorts(rest, 4)
	case 0x21:
		h.Source, h.Destination = addrPorts(rest, 16)
	}
	h.TLS, err = parseValues(data, fixedV2+size)
	return h, err
}

// addrPorts reads two addresses of size bytes, and then their ports.
func addrPorts(data []byte, size int) (source, destination netip.AddrPort) {
	addrPort := func(address, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(address[:size]) // 4 or 16
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
	}
	ports := data[2*size:]
	return addrPort(data, ports), addrPort(data[size:], ports[2:])
}

// parseValues reads the values from offset on: a kind, two bytes of length,
// and the value itself.
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
			return false, fmt.Errorf("%w: a value stands twice", errMalformed)
		case kind == kindTLS && size < 5, kind == kindCRC && size != 4:
			return false, fmt.Errorf("%w: a value has another length", errMalformed)
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

// hasChecksum reports whether the four bytes at are the CRC32c of the header
// with zeros in their place.
func hasChecksum(data []byte, at int) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, data[:at])
	sum = crc32.Update(sum, table, make([]byte, 4))
	sum = crc32.Update(sum, table, data[at+4:])
	return sum == binary.BigEndian.Uint32(data[at:])
}

package proxyproto

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/pires/go-proxyproto"
)

// wantSame parses data with another library, and compares the result with h,
// the header of n bytes that Parse returned.
func wantSame(t *testing.T, data []byte, h Header, n int) {
	t.Helper()
	in := bufio.NewReaderSize(bytes.NewReader(data), 1<<17)
	theirs, err := proxyproto.Read(in)
	if err != nil {
		// The other library is stricter about parts that must be ignored: the
		// protocol and the addresses of LOCAL and UNSPEC.
		if data[0] == signature[0] && !h.Source.IsValid() {
			return
		}
		t.Fatalf("go-proxyproto: %v, we read %+v", err, h)
	}
	rest, _ := io.ReadAll(in)
	if !bytes.Equal(rest, data[n:]) {
		t.Fatalf("go-proxyproto leaves %d bytes, we leave %d", len(rest), len(data)-n)
	}
	if !h.Source.IsValid() {
		return
	}
	if theirs.Command != proxyproto.PROXY || !sameAddr(theirs.SourceAddr, h.Client()) || !sameAddr(theirs.DestinationAddr, net.TCPAddrFromAddrPort(h.Destination)) {
		t.Fatalf("go-proxyproto: %+v, we: %+v", theirs, h)
	}
	if _, err := theirs.TLVs(); err != nil {
		t.Fatalf("go-proxyproto: the values of %x: %v", data[:n], err)
	}
}

func sameAddr(a, b net.Addr) bool {
	x, ok := a.(*net.TCPAddr)
	y, also := b.(*net.TCPAddr)
	return ok && also && x.IP.Equal(y.IP) && x.Port == y.Port
}

// TestHeadersOfAnotherLibrary checks that headers written by go-proxyproto can
// be parsed.
func TestHeadersOfAnotherLibrary(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, addrs := range [][2]string{{client, server}, {"[2001:db8::1]:56324", "[2001:db8::2]:443"}} {
			source, _ := net.ResolveTCPAddr("tcp", addrs[0])
			destination, _ := net.ResolveTCPAddr("tcp", addrs[1])
			header := proxyproto.HeaderProxyFromAddrs(version, source, destination)
			if version == 2 {
				if err := header.SetTLVs([]proxyproto.TLV{{Type: kindTLS, Value: []byte{1, 0, 0, 0, 0}}}); err != nil {
					t.Fatal(err)
				}
			}
			data, err := header.Format()
			if err != nil {
				t.Fatal(err)
			}
			h, n, err := Parse(data)
			if err != nil || n != len(data) || h.Source.String() != addrs[0] || h.Destination.String() != addrs[1] || h.TLS != (version == 2) {
				t.Errorf("version %d of %s: %+v, %d of %d bytes, %v", version, addrs[0], h, n, len(data), err)
			}
			wantSame(t, data, h, n)
		}
	}
}

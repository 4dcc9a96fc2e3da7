package forwarded

import (
	"net"
	"net/netip"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	for _, good := range []string{"192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:10.0.0.0/104", "0.0.0.0/0", "::/0", "private", "Private", "unix"} {
		if n, err := ParseNetwork(good); err != nil || n.IsEmpty() {
			t.Errorf("%q: got %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/255.0.0.0", "10.0.0", "10.0.0.0:80", "[::1]", "localhost", "*",
		"proxy.example", "fe80::1%eth0", "fe80::%eth0/64", "0.0.0.0", "::", "10.0.0.0/8 ", "10.0.0.0/8,11.0.0.0/8", "loopback", "unix:/run/x"} {
		if n, err := ParseNetwork(bad); err == nil || !n.IsEmpty() {
			t.Errorf("%q is taken for %v", bad, n)
		}
	}
	if _, err := ParseNetworks([]string{"10.0.0.0/8", "x", "y"}); err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 2 {
		t.Errorf("two faults: %v", err)
	}
}

func TestContains(t *testing.T) {
	for _, tt := range []struct {
		entries []string
		addr    string
		want    bool
	}{
		{nil, "127.0.0.1", false},
		{[]string{"unix"}, "127.0.0.1", false},
		{[]string{"10.0.0.0/8"}, "10.255.255.255", true},
		{[]string{"10.0.0.0/8"}, "::ffff:10.1.2.3", true},
		{[]string{"10.0.0.0/8"}, "11.0.0.0", false},
		{[]string{"::ffff:10.0.0.0/104"}, "10.1.2.3", true},
		{[]string{"::ffff:10.1.2.3"}, "10.1.2.3", true},
		{[]string{"fe80::/10"}, "fe80::1%eth0", true},
		{[]string{"fe80::1"}, "fe80::1%7", true},
		{[]string{"::/0"}, "10.1.2.3", false},
		{[]string{"0.0.0.0/0"}, "2001:db8::1", false},
		{[]string{"192.0.2.1", "2001:db8::/32"}, "2001:db8:1::1", true},
		{[]string{"private"}, "127.0.0.1", true},
		{[]string{"private"}, "::1", true},
		{[]string{"private"}, "172.31.255.255", true},
		{[]string{"private"}, "172.32.0.0", false},
		{[]string{"private"}, "fd00::1", true},
		{[]string{"private"}, "100.64.0.1", false}, // shared by the customers of a provider (CGNAT)
		{[]string{"private"}, "169.254.169.254", false},
		{[]string{"private"}, "fe80::1", false},
	} {
		n, err := ParseNetworks(tt.entries)
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddr(tt.addr)
		if got := n.Contains(addr); got != tt.want {
			t.Errorf("%v contain %s: %v", tt.entries, tt.addr, got)
		}
		if got := n.ContainsAddr(net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 1))); got != tt.want {
			t.Errorf("%v contain the peer %s: %v", tt.entries, tt.addr, got)
		}
	}
	unix, tcp := Networks{unix: true}, Networks{prefixes: private}
	if path := (&net.UnixAddr{Name: "@", Net: "unix"}); !unix.ContainsAddr(path) || tcp.ContainsAddr(path) {
		t.Error("peers on Unix sockets are those of unix, and of nothing else")
	}
	if unix.ContainsAddr(&net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}) || unix.ContainsAddr(nil) {
		t.Error("an unknown address is trusted")
	}
}

func TestWide(t *testing.T) {
	for entry, want := range map[string]bool{
		"0.0.0.0/0": true, "0.0.0.0/1": true, "128.0.0.0/7": true, "10.0.0.0/8": false, "::/0": true, "2000::/3": true, "::/96": false,
		"2001:db8::/32": false, "fc00::/7": false, "private": false, "unix": false, "192.0.2.1": false, "::ffff:0.0.0.0/96": true,
	} {
		n, err := ParseNetwork(entry)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(n.Wide()) > 0; got != want {
			t.Errorf("%s is wide: %v", entry, got)
		}
	}
}

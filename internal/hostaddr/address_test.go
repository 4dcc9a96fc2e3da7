package hostaddr

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReaches(t *testing.T) {
	for listen, c := range map[string]struct{ same, other []string }{
		"127.0.0.1:80":     {[]string{"http://127.0.0.1", "http://localhost", "http://0.0.0.0:80", "http://[::]", "http://[::ffff:7f00:1]"}, []string{"https://127.0.0.1", "http://127.0.0.2", "http://[::1]", "http://10.0.0.1", "http://a.example"}},
		"[::1]:443":        {[]string{"https://[::1]", "https://localhost", "https://[0:0::1]:443", "http://0.0.0.0:443"}, []string{"https://127.0.0.1", "http://[::1]"}},
		"localhost:1":      {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://app.localhost:1"}, []string{"http://localhost:2", "unix:/localhost:1"}},
		":1":               {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://127.8.8.8:1", "http://[::1]:1", "http://0.0.0.0:1"}, []string{"http://a.example:1", "http://10.0.0.1:1"}},
		"0.0.0.0:1":        {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://[::]:1"}, []string{"http://a.example:1"}},
		"[::]:http":        {[]string{"http://localhost", "http://127.0.0.1:80"}, []string{"http://localhost:81"}},
		"10.0.0.1:1":       {[]string{"http://10.0.0.1:1", "http://[::ffff:10.0.0.1]:1"}, []string{"http://127.0.0.1:1", "http://localhost:1", "http://0.0.0.0:1"}},
		"app.example:1":    {[]string{"http://app.example:1", "http://APP.example.:1"}, []string{"http://b.example:1", "http://localhost:1"}},
		"127.0.0.1:0":      {nil, []string{"http://127.0.0.1:0", "http://127.0.0.1"}},
		"/run/admin.sock":  {[]string{"unix:/run/admin.sock", "unix:/run//admin.sock"}, []string{"unix:/run/a.sock", "http://run/admin.sock"}},
		"nonsense":         {nil, []string{"http://nonsense", "unix:/nonsense", "::"}},
		"[::1%25lo]:1":     {nil, []string{"http://[::1]:1"}},
		"127.0.0.1:999999": {nil, []string{"http://127.0.0.1:999999"}},
	} {
		for _, upstream := range c.same {
			if !Reaches(upstream, listen) {
				t.Errorf("%s is not taken for %s", upstream, listen)
			}
		}
		for _, upstream := range c.other {
			if Reaches(upstream, listen) {
				t.Errorf("%s is taken for %s", upstream, listen)
			}
		}
	}
}

// TestReachesByOwnAddresses checks that a listener on all addresses is reached
// by the addresses of the interfaces, by the machine's name, and by names in
// the hosts file.
func TestReachesByOwnAddresses(t *testing.T) {
	own := []string{"[::1%25lo]"}
	for _, ip := range ownAddresses() {
		own = append(own, net.JoinHostPort(ip.String(), ""))
	}
	if name, err := os.Hostname(); err == nil && CheckHostName(name) == nil {
		own = append(own, name, strings.ToUpper(name))
	}
	for _, host := range own {
		upstream := "http://" + strings.TrimSuffix(host, ":") + ":8000"
		for _, listen := range []string{":8000", "0.0.0.0:8000", "[::]:8000"} {
			if err := CheckUpstream(upstream); err != nil {
				t.Error(err)
			}
			if !Reaches(upstream, listen) {
				t.Errorf("%s is not taken for %s", upstream, listen)
			}
		}
		if Reaches(upstream, ":8001") {
			t.Errorf("%s is taken for another port", upstream)
		}
	}
	for _, ip := range addressesOf("localhost.localdomain") { // where the hosts file has this name
		if !ip.IsLoopback() {
			t.Errorf("localhost.localdomain is %s", ip)
		}
	}
	for _, ip := range ownAddresses() {
		listen := net.JoinHostPort(ip.String(), "1")
		if got := Reaches("http://localhost:1", listen); got != ip.IsLoopback() {
			t.Errorf("localhost is taken for %s: %v", listen, got)
		}
		if Reaches("http://203.0.113.77:1", listen) {
			t.Errorf("an address of another machine is taken for %s", listen)
		}
	}
}

// TestCheckListen checks that an address to listen on must have a valid host.
func TestCheckListen(t *testing.T) {
	for _, good := range []string{
		":8000", "0.0.0.0:8000", "127.0.0.1:0", "[::1]:8000", "[::]:8000", "[fe80::1%eth0]:8000", "[::ffff:1.2.3.4]:80", "localhost:8000",
		"localhost:http", "app.example.:80", "a_b:80", "a1:80", "1and1.example:80", "xn--mnchen-3ya.example:80",
	} {
		if err := CheckListen(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	long := strings.Repeat("a", 64)
	for _, bad := range []string{
		"", "8000", "localhost", "localhost:", "localhost:99999", "localhost:-1", "localhost:+80", "localhost:80 ", "127.0.0.1:80/x", "http://127.0.0.1:80",
		"unix:/run/x", "a b:80", " 127.0.0.1:80", "a\tb:80", "host\x00:80", "*:80", "*.example:80", "user@host:80", "a,b:80", "a..b:80", ".a:80", ".:80",
		"bücher.example:80", "[foo]:80", "[127.0.0.1]:80", "[localhost]:80", "[]:80", "[::1%]:80", "[%eth0]:80", "%eth0:80", "[::1:80", "[::1]80", "::1:80", "fe80::1%eth0:80",
		"256.1.1.1:80", "1.2.3:80", "127.1:80", "1.2.3.4.5:80", "2130706433:80", "0x7f000001:80", "0x7f.1:80", "a.0X7F:80", "0177.0.0.1:80",
		long + ":80", "a." + long + ".b:80", strings.Repeat("a.", 127) + "a:80",
	} {
		if CheckListen(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCollide checks which addresses two listeners cannot have at the same
// time.
func TestCollide(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:8000", "127.0.0.1:8000", true},
		{"localhost:8000", "127.0.0.1:8000", true},
		{":8000", "[::1]:8000", true},
		{"[::]:8000", "127.0.0.1:8000", true},
		{"[::]:8000", "0.0.0.0:8000", true},
		{"0.0.0.0:80", "localhost:http", true},
		{"[0::1]:1", "[::1]:01", true},
		{"APP.example:1", "app.example.:1", true},
		{"0.0.0.0:8000", "[::1]:8000", false},
		{"127.0.0.1:8000", "127.0.0.2:8000", false},
		{"127.0.0.1:8000", "[::1]:8000", false},
		{"127.0.0.1:8000", "127.0.0.1:8001", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"a.example:1", "b.example:1", false},
		{"nonsense", "nonsense", false},
		{"", ":1", false},
	} {
		if Collide(c.a, c.b) != c.want || Collide(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

// TestCheckUpstreamHost checks that an upstream must have a valid host or
// socket path.
func TestCheckUpstreamHost(t *testing.T) {
	for _, good := range []string{
		"http://a_b:80", "http://X.example", "https://[fe80::1%25eth0]:80", "http://x:", "http://x:080", "http://app-1.web.:80", "http://127.0.0.1/",
		"unix:/run/app.sock", "unix:///run/app.sock", "unix:/" + strings.Repeat("a", maxUpstreamPath-1),
	} {
		if err := CheckUpstream(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"http://", "http://:80", "http://a..b:80", "http://.x:80", "http://a,b", "http://*.x:80", "http://256.256.1.1", "http://127.1:8000", "http://2130706433:8000",
		"http://0x7f.1:8000", "http://0177.0.0.1:8000", "http://x?", "http://x#", "http://" + strings.Repeat("a", 64) + ".b", "http://[::1%25]:80",
		"unix:/", "unix:/run/app.sock/", "unix:/a\x00b", "unix:/" + strings.Repeat("a", maxUpstreamPath),
	} {
		if CheckUpstream(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestReachesThroughLinks checks that every path of a socket is recognized,
// even before the socket exists.
func TestReachesThroughLinks(t *testing.T) {
	folder := t.TempDir()
	real, linked := filepath.Join(folder, "run"), filepath.Join(folder, "var-run")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, linked), os.Symlink("admin.sock", filepath.Join(real, "app.sock"))); err != nil {
		t.Fatal(err)
	}
	for _, made := range []bool{false, true} {
		if made {
			if err := os.WriteFile(filepath.Join(real, "admin.sock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, pair := range [][2]string{{real, linked}, {linked, real}} {
			if !Reaches("unix:"+filepath.Join(pair[0], "admin.sock"), filepath.Join(pair[1], "admin.sock")) {
				t.Errorf("%s is not taken for %s", pair[0], pair[1])
			}
		}
		if Reaches("unix:"+filepath.Join(real, "other.sock"), filepath.Join(linked, "admin.sock")) {
			t.Error("another socket is treated as the same")
		}
		if Reaches("unix:"+filepath.Join(real, "app.sock"), filepath.Join(linked, "admin.sock")) != made {
			t.Error("a link to the socket itself")
		}
	}
}

// TestCheckASCII checks that a non-ASCII host is refused, and the error names
// the form that clients send.
func TestCheckASCII(t *testing.T) {
	for host, want := range map[string]string{
		"*.münchen.example": "*.xn--mnchen-3ya.example",
		"MÜNCHEN.example":   "xn--mnchen-3ya.example",
		"пример.испытание":  "xn--e1afmkfd.xn--80akhbyknj4f",
		"例え.テスト":            "xn--r8jz45g.xn--zckzah",
		"faß.example":       "xn--fa-hia.example",
		"a\u202eb.example":  "not a host name",
	} {
		if err := checkASCII(host); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
	for _, host := range []string{"", "app.example", "a-.example", "*.app.example"} {
		if err := checkASCII(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestCheckPattern checks which hosts a route may have.
func TestCheckPattern(t *testing.T) {
	for _, bad := range []string{"256.1.1.1", "127.1", "0x7f.1", "*.127.0.0.1", "*.0.0.1", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 127) + "a"} {
		if CheckPattern(bad) == nil {
			t.Errorf("%q is accepted as the host of a route", bad)
		}
	}
	for _, good := range []string{"127.0.0.1", "a_b", "x-", "*.com", "1.example"} {
		if err := CheckPattern(good); err != nil {
			t.Error(err)
		}
	}
}

// TestServersInAllSpellings checks that Server returns the same address for all
// spellings in a group, and different addresses for different groups.
func TestServersInAllSpellings(t *testing.T) {
	groups := [][]string{
		{"http://127.0.0.1:9000", "http://localhost:9000", "http://LOCALHOST:9000/", "http://[::1]:9000", "http://[::ffff:127.0.0.1]:9000", "http://127.0.0.2:9000", "http://0.0.0.0:9000", "http://[::]:9000", "https://127.0.0.1:9000", "http://localhost.:09000", "http://app.localhost:9000"},
		{"http://127.0.0.1:9001"},
		{"http://127.0.0.1", "http://localhost:80/", "http://[::1]:80"},
		{"https://127.0.0.1", "https://localhost:443"},
		{"http://a.example", "http://A.example:80/", "http://a.example."},
		{"http://10.0.0.1:9000", "http://[::ffff:10.0.0.1]:9000"},
		{"http://[2001:db8::1]:9000", "http://[2001:DB8:0::1]:9000/"},
		{"unix:/run/a.sock", "unix:/run/./a.sock", "unix:/run/x/../a.sock", "unix://run/a.sock"},
		{"unix:/run/b.sock"},
	}
	var seen []string
	for _, group := range groups {
		name := Server(group[0])
		if slices.Contains(seen, name) {
			t.Errorf("%s is taken for another server", group[0])
		}
		seen = append(seen, name)
		for _, address := range group {
			if got := Server(address); got != name {
				t.Errorf("%s is %s, and %s is %s", address, got, group[0], name)
			}
		}
	}
}

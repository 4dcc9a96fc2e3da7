package forwarded

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// policy returns a Policy that trusts 10.0.0.0/8, fd00::/8 and Unix sockets.
func policy(t testing.TB, source Source) *Policy {
	t.Helper()
	trusted, err := ParseNetworks([]string{"10.0.0.0/8", "fd00::/8", "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return &Policy{Trusted: trusted, Source: source, Host: true, Port: source == XForwardedFor}
}

// request returns a request of a peer. Each field is "Name: value".
func request(peer string, fields ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Host: "backend.internal", Header: http.Header{}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

const (
	proxy    = "10.0.0.1:4000"
	stranger = "203.0.113.9:4000"
)

func TestXForwardedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		peer   string
		fields []string
		addr   string // of the client
		origin string // "" for that of the request itself
	}{
		"nothing":                    {proxy, nil, proxy, ""},
		"one client":                 {proxy, []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0", ""},
		"a client with a port":       {proxy, []string{"X-Forwarded-For: 192.0.2.1:4711"}, "192.0.2.1:4711", ""},
		"IPv6":                       {proxy, []string{"X-Forwarded-For: 2001:db8::1"}, "[2001:db8::1]:0", ""},
		"IPv6 in brackets":           {proxy, []string{"X-Forwarded-For: [2001:db8::1]"}, "[2001:db8::1]:0", ""},
		"IPv6 with a port":           {proxy, []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "[2001:db8::1]:4711", ""},
		"IPv6 with a zone":           {proxy, []string{"X-Forwarded-For: fe80::1%eth0"}, "[fe80::1]:0", ""},
		"IPv6 with zone and port":    {proxy, []string{"X-Forwarded-For: [fe80::1%eth0]:4711"}, "[fe80::1]:4711", ""},
		"IPv4 mapped":                {proxy, []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, "192.0.2.1:0", ""},
		"IPv4 mapped, trusted":       {proxy, []string{"X-Forwarded-For: 192.0.2.1, [::ffff:10.0.0.2]:5"}, "192.0.2.1:0", ""},
		"a peer that is mapped":      {"[::ffff:10.0.0.1]:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0", ""},
		"a peer of IPv6":             {"[fd00::1%eth0]:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0", ""},
		"forged by the client":       {proxy, []string{"X-Forwarded-For: 127.0.0.1, 192.0.2.1"}, "192.0.2.1:0", ""},
		"forged as a proxy":          {proxy, []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.9, 192.0.2.1"}, "192.0.2.1:0", ""},
		"two proxies":                {proxy, []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2"}, "192.0.2.1:0", ""},
		"several lines":              {proxy, []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1", "X-Forwarded-For: 10.0.0.2"}, "192.0.2.1:0", ""},
		"a forged line":              {proxy, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0", ""},
		"trusted alone":              {proxy, []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3:0", ""},
		"empty members":              {proxy, []string{"X-Forwarded-For: 192.0.2.1,, ,10.0.0.2, "}, "192.0.2.1:0", ""},
		"empty lines":                {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: "}, "192.0.2.1:0", ""},
		"blanks and tabs":            {proxy, []string{"X-Forwarded-For: \t192.0.2.1 \t,\t10.0.0.2"}, "192.0.2.1:0", ""},
		"unknown":                    {proxy, []string{"X-Forwarded-For: unknown"}, proxy, ""},
		"unknown before a proxy":     {proxy, []string{"X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2:0", ""},
		"garbage":                    {proxy, []string{"X-Forwarded-For: 192.0.2.1, <script>"}, proxy, ""},
		"garbage before the client":  {proxy, []string{"X-Forwarded-For: \"[](),;, 192.0.2.1"}, "192.0.2.1:0", ""},
		"a quoted address":           {proxy, []string{"X-Forwarded-For: \"192.0.2.1\""}, proxy, ""},
		"an open quote":              {proxy, []string{"X-Forwarded-For: \"198.51.100.1, 192.0.2.1"}, "192.0.2.1:0", ""},
		"a name":                     {proxy, []string{"X-Forwarded-For: localhost"}, proxy, ""},
		"zeros":                      {proxy, []string{"X-Forwarded-For: 192.000.002.001"}, proxy, ""},
		"a short address":            {proxy, []string{"X-Forwarded-For: 127.1"}, proxy, ""},
		"a number":                   {proxy, []string{"X-Forwarded-For: 2130706433"}, proxy, ""},
		"no address":                 {proxy, []string{"X-Forwarded-For: 0.0.0.0"}, proxy, ""},
		"no address of IPv6":         {proxy, []string{"X-Forwarded-For: [::]:80"}, proxy, ""},
		"a port too large":           {proxy, []string{"X-Forwarded-For: 192.0.2.1:65536"}, proxy, ""},
		"no port behind the colon":   {proxy, []string{"X-Forwarded-For: 192.0.2.1:"}, proxy, ""},
		"IPv4 in brackets":           {proxy, []string{"X-Forwarded-For: [192.0.2.1]"}, proxy, ""},
		"an open bracket":            {proxy, []string{"X-Forwarded-For: [2001:db8::1"}, proxy, ""},
		"behind the bracket":         {proxy, []string{"X-Forwarded-For: [2001:db8::1]x"}, proxy, ""},
		"a zone of anything":         {proxy, []string{"X-Forwarded-For: fe80::1%\x1b[31m"}, proxy, ""},
		"a zone of IPv4":             {proxy, []string{"X-Forwarded-For: 192.0.2.1%x"}, proxy, ""},
		"a network":                  {proxy, []string{"X-Forwarded-For: 10.0.0.0/8"}, proxy, ""},
		"a stranger":                 {stranger, []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "Forwarded: for=127.0.0.1;proto=https"}, stranger, ""},
		"a peer without an address":  {"@", []string{"X-Forwarded-For: 127.0.0.1"}, "@", ""},
		"the other source":           {proxy, []string{"Forwarded: for=127.0.0.1;proto=https;host=evil.example"}, proxy, ""},
		"with the other source":      {proxy, []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=127.0.0.1;proto=https", "X-Real-Ip: 127.0.0.1"}, "192.0.2.1:0", ""},
		"the scheme":                 {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, "192.0.2.1:0", "https://backend.internal"},
		"the scheme in capitals":     {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: HTTPS"}, "192.0.2.1:0", "https://backend.internal"},
		"the scheme of a socket":     {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: wss"}, "192.0.2.1:0", "https://backend.internal"},
		"another scheme":             {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: javascript"}, "192.0.2.1:0", ""},
		"the scheme alone":           {proxy, []string{"X-Forwarded-Proto: https"}, proxy, "https://backend.internal"},
		"the scheme of each hop":     {proxy, []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto: https, http"}, "192.0.2.1:0", "https://backend.internal"},
		"a forged scheme":            {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"}, "192.0.2.1:0", ""},
		"forged both":                {proxy, []string{"X-Forwarded-For: 10.0.0.2, 192.0.2.1", "X-Forwarded-Proto: https, http"}, "192.0.2.1:0", ""},
		"a scheme more than hops":    {proxy, []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto: http, https, http"}, "192.0.2.1:0", ""},
		"a forged line of schemes":   {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, "192.0.2.1:0", ""},
		"the host":                   {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example"}, "192.0.2.1:0", "https://app.example"},
		"the host with its port":     {proxy, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: app.example:8443"}, proxy, "https://app.example:8443"},
		"a forged host":              {proxy, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: evil.example, app.example"}, "192.0.2.1:0", "http://app.example"},
		"a host that is none":        {proxy, []string{"X-Forwarded-Host: app.example/../x"}, proxy, ""},
		"a host with a user":         {proxy, []string{"X-Forwarded-Host: app.example@evil.example"}, proxy, ""},
		"the port":                   {proxy, []string{"X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"}, proxy, "https://backend.internal:8443"},
		"the port of https":          {proxy, []string{"X-Forwarded-Port: 443", "X-Forwarded-Proto: https"}, proxy, "https://backend.internal"},
		"the port in place of one":   {proxy, []string{"X-Forwarded-Port: 443", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example:8443"}, proxy, "https://app.example"},
		"the port of an address":     {proxy, []string{"X-Forwarded-Port: 81", "X-Forwarded-Host: [2001:db8::1]"}, proxy, "http://[2001:db8::1]:81"},
		"the usual one of it":        {proxy, []string{"X-Forwarded-Port: 80", "X-Forwarded-Host: [2001:db8::1]:81"}, proxy, "http://[2001:db8::1]"},
		"a port that is none":        {proxy, []string{"X-Forwarded-Port: 0443"}, proxy, ""},
		"port zero":                  {proxy, []string{"X-Forwarded-Port: 0"}, proxy, ""},
		"100 proxies":                {proxy, []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(", 10.0.0.2", 99)}, "192.0.2.1:0", ""},
		"more proxies than are read": {proxy, []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(", 10.0.0.2", 100)}, "10.0.0.2:0", ""},
		"10,000 members":             {proxy, []string{"X-Forwarded-For: " + strings.Repeat("10.0.0.2, ", 10_000) + "192.0.2.1"}, "192.0.2.1:0", ""},
		"10,000 empty members":       {proxy, []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(",", 10_000)}, proxy, ""},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, policy(t, XForwardedFor), request(tt.peer, tt.fields...), tt.addr, tt.origin)
		})
	}
}

func TestForwarded(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		addr   string
		origin string
	}{
		"one client":                    {[]string{`Forwarded: for=192.0.2.1`}, "192.0.2.1:0", ""},
		"in capitals":                   {[]string{`Forwarded: FOR=192.0.2.1;Proto=HTTPS`}, "192.0.2.1:0", "https://backend.internal"},
		"quoted":                        {[]string{`Forwarded: for="192.0.2.1:4711"`}, "192.0.2.1:4711", ""},
		"IPv6":                          {[]string{`Forwarded: for="[2001:db8::1]:4711"`}, "[2001:db8::1]:4711", ""},
		"IPv6 without quotes":           {[]string{`Forwarded: for=[2001:db8::1]:4711`}, "[2001:db8::1]:4711", ""},
		"escaped":                       {[]string{`Forwarded: for="\192.0.\2.1"`}, "192.0.2.1:0", ""},
		"an obfuscated port":            {[]string{`Forwarded: for="192.0.2.1:_x.y-z"`}, "192.0.2.1:0", ""},
		"all parameters":                {[]string{`Forwarded: by=_gate;for=192.0.2.1;host="app.example:8443";proto=https;x=y`}, "192.0.2.1:0", "https://app.example:8443"},
		"blanks":                        {[]string{"Forwarded: \tfor=192.0.2.1 ; proto=https "}, "192.0.2.1:0", "https://backend.internal"},
		"a semicolon at the end":        {[]string{`Forwarded: for=192.0.2.1;`}, "192.0.2.1:0", ""},
		"two proxies":                   {[]string{`Forwarded: for=192.0.2.1;proto=https;host=app.example, for=10.0.0.2;proto=http`}, "192.0.2.1:0", "https://app.example"},
		"several lines":                 {[]string{`Forwarded: for=192.0.2.1;proto=https`, `Forwarded: for=10.0.0.2`}, "192.0.2.1:0", "https://backend.internal"},
		"forged by the client":          {[]string{`Forwarded: for=127.0.0.1;proto=https;host=evil.example, for=192.0.2.1;proto=http`}, "192.0.2.1:0", ""},
		"a comma in quotes":             {[]string{`Forwarded: for=198.51.100.1, for=192.0.2.1;x="a, for=127.0.0.1"`}, "192.0.2.1:0", ""},
		"a quote in quotes":             {[]string{`Forwarded: for=192.0.2.1;x="a\", for=127.0.0.1"`}, "192.0.2.1:0", ""},
		"an open quote before":          {[]string{`Forwarded: for="198.51.100.1, for=192.0.2.1`}, "192.0.2.1:0", ""},
		"an open quote, then a quoted":  {[]string{`Forwarded: for="x, for="[2001:db8::1]:1";proto=https`}, "[2001:db8::1]:1", "https://backend.internal"},
		"an open quote in its own line": {[]string{`Forwarded: for="`, `Forwarded: for=192.0.2.1`}, "192.0.2.1:0", ""},
		"unknown":                       {[]string{`Forwarded: for=unknown;proto=https`}, proxy, "https://backend.internal"},
		"obfuscated":                    {[]string{`Forwarded: for=198.51.100.1, for=_hidden;proto=https`}, proxy, "https://backend.internal"},
		"unknown before a proxy":        {[]string{`Forwarded: for=198.51.100.1, for=unknown, for=10.0.0.2`}, "10.0.0.2:0", ""},
		"without for":                   {[]string{`Forwarded: for=198.51.100.1, proto=https`}, proxy, "https://backend.internal"},
		"for twice":                     {[]string{`Forwarded: for=192.0.2.1;for=198.51.100.1;proto=https`}, proxy, ""},
		"proto twice":                   {[]string{`Forwarded: for=192.0.2.1;proto=http;PROTO=https`}, proxy, ""},
		"no value":                      {[]string{`Forwarded: for=`}, proxy, ""},
		"no name":                       {[]string{`Forwarded: =192.0.2.1`}, proxy, ""},
		"no equals sign":                {[]string{`Forwarded: 192.0.2.1`}, proxy, ""},
		"blanks around the equals sign": {[]string{`Forwarded: for = 192.0.2.1`}, proxy, ""},
		"behind the quotes":             {[]string{`Forwarded: for="192.0.2.1"x`}, proxy, ""},
		"an open quote at the end":      {[]string{`Forwarded: for="192.0.2.1`}, proxy, ""},
		"a backslash at the end":        {[]string{`Forwarded: for="192.0.2.1\"`}, proxy, ""},
		"a control character":           {[]string{"Forwarded: for=192.0.2.1;x=\"\x1b\""}, proxy, ""},
		"garbage":                       {[]string{`Forwarded: ;;;===,,,"`}, proxy, ""},
		"the other source":              {[]string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1"}, proxy, ""},
		"10,000 members":                {[]string{`Forwarded: ` + strings.Repeat(`for=10.0.0.2, `, 10_000) + `for=192.0.2.1`}, "192.0.2.1:0", ""},
		"a stranger's":                  {[]string{`Forwarded: for=198.51.100.1;proto=https, for=203.0.113.9`}, "203.0.113.9:0", ""},
	} {
		t.Run(name, func(t *testing.T) { check(t, policy(t, Forwarded), request(proxy, tt.fields...), tt.addr, tt.origin) })
	}
}

// check compares the client of a request, and checks that the peer is
// unchanged.
func check(t *testing.T, p *Policy, r *http.Request, addr, origin string) {
	t.Helper()
	c, proxied := p.Client(r)
	if origin == "" {
		origin = "http://backend.internal"
	}
	if got := c.Scheme + "://" + c.Host; c.Addr != addr || got != origin || c.Peer != r.RemoteAddr {
		t.Errorf("%+v; want %s by %s", c, addr, origin)
	}
	if want := p.Trusted.containsPeer(r); proxied != want {
		t.Errorf("proxied %v, want %v", proxied, want)
	}
}

// TestHostAndPortNeedTheirSettings checks that fields that choose the route are
// read only if configured.
func TestHostAndPortNeedTheirSettings(t *testing.T) {
	r := request(proxy, "X-Forwarded-Host: app.example", "X-Forwarded-Port: 8443", "Forwarded: for=192.0.2.1;host=app.example")
	for _, source := range []Source{XForwardedFor, Forwarded} {
		p := policy(t, source)
		p.Host, p.Port = false, false
		if c, _ := p.Client(r); c.Host != "backend.internal" {
			t.Errorf("%s: the host is %s", source, c.Host)
		}
	}
	p := policy(t, XForwardedFor)
	p.Host = false
	if c, _ := p.Client(r); c.Host != "backend.internal:8443" {
		t.Errorf("the port alone: %s", c.Host)
	}
}

// TestSchemeOfTheProxy checks that the scheme that a proxy reports takes
// precedence over that of its own connection.
func TestSchemeOfTheProxy(t *testing.T) {
	for fields, want := range map[string]string{"X-Forwarded-Proto: http": "http", "X-Forwarded-Proto: https": "https", "X-Forwarded-For: 192.0.2.1": "https"} {
		r := request(proxy, fields)
		r.TLS = &tls.ConnectionState{}
		if c, _ := policy(t, XForwardedFor).Client(r); c.Scheme != want {
			t.Errorf("%s over TLS: %s", fields, c.Scheme)
		}
	}
}

// TestFixedScheme checks that a fixed scheme overrides what a proxy reports,
// and does not apply to clients that connect directly.
func TestFixedScheme(t *testing.T) {
	for _, source := range []Source{XForwardedFor, Forwarded} {
		for scheme, host := range map[string]string{"https": "app.example", "http": "app.example:443"} {
			p := policy(t, source)
			p.Scheme = scheme
			fields := []string{"X-Forwarded-Proto: gopher", "X-Forwarded-Port: 443", "X-Forwarded-Host: app.example", "Forwarded: for=192.0.2.1;proto=gopher"}
			for _, says := range []string{"http", "https"} {
				r := request(proxy, append(fields, "X-Forwarded-Proto: "+says, "Forwarded: for=192.0.2.1;proto="+says)...)
				c, _ := p.Client(r)
				if c.Scheme != scheme || source == XForwardedFor && c.Host != host {
					t.Errorf("%s, and the proxy reports %s in %s: %+v", scheme, says, source, c)
				}
			}
			if c, _ := p.Client(request(proxy)); c.Scheme != scheme {
				t.Errorf("%s, and the proxy reports nothing: %s", scheme, c.Scheme)
			}
			if c, _ := p.Client(request(stranger, fields...)); c.Scheme != "http" {
				t.Errorf("%s for a stranger: %s", scheme, c.Scheme)
			}
		}
	}
	for text, want := range map[string]bool{"http": true, "https": true, "": false, "wss": false, "HTTPS": false} {
		if IsScheme(text) != want {
			t.Errorf("IsScheme(%q) is %v", text, !want)
		}
	}
}

// TestUnixPeer checks that peers on Unix sockets, which have no address, are
// trusted only by the name "unix".
func TestUnixPeer(t *testing.T) {
	r := request("@", "X-Forwarded-For: 192.0.2.1")
	p := policy(t, XForwardedFor)
	for _, tt := range []struct {
		local net.Addr
		want  string
	}{{&net.UnixAddr{Name: "/run/x", Net: "unix"}, "192.0.2.1:0"}, {&net.TCPAddr{}, "@"}} {
		if c, _ := p.Client(r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, tt.local))); c.Addr != tt.want {
			t.Errorf("a peer on %T: %s", tt.local, c.Addr)
		}
	}
	p.Trusted.unix = false
	if c, _ := p.Client(r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{}))); c.Addr != "@" {
		t.Errorf("a peer that is not named: %s", c.Addr)
	}
}

// TestProxyProtocolReadsNoFields checks that no fields are read with the PROXY
// protocol. The request then has the client's address, which may be in a
// trusted network.
func TestProxyProtocolReadsNoFields(t *testing.T) {
	r := request(proxy, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "Forwarded: for=192.0.2.1;proto=https")
	if c, proxied := policy(t, ProxyProtocol).Client(r); proxied || c != direct(r) {
		t.Errorf("got %+v", c)
	}
}

func TestWithAndScheme(t *testing.T) {
	r := request(stranger)
	if From(r.Context()) != nil || Scheme(r) != "http" {
		t.Errorf("got %v, %s", From(r.Context()), Scheme(r))
	}
	c := &Client{Scheme: "https"}
	if r = r.WithContext(With(r.Context(), c)); From(r.Context()) != c || Scheme(r) != "https" {
		t.Errorf("got %v, %s", From(r.Context()), Scheme(r))
	}
}

// FuzzClient checks that fields that a client sends before its proxy adds its
// own, in the same line or another, have no effect, and the result is safe for
// logs and URLs.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "127.0.0.1", "10.0.0.2, ", `for="`, `for="10.0.0.2`, `for=10.0.0.2;x="\`, "unknown", "10.0.0.2,,", "[::1]:80", "fe80::1%x", "https", `for=a;proto=https;host=b`} {
		f.Add(seed, seed, seed, true)
		f.Add(seed, "", "", false)
	}
	f.Fuzz(func(t *testing.T, forged, proto, host string, joined bool) {
		for _, x := range []struct {
			source Source
			field  string
			honest string
		}{
			{XForwardedFor, "X-Forwarded-For", "192.0.2.1"},
			{Forwarded, "Forwarded", "for=192.0.2.1;proto=http;host=app.example"},
			{Forwarded, "Forwarded", `for="[2001:db8::1]:4711";host="app.example"`},
		} {
			p := policy(t, x.source)
			r := request(proxy)
			honest, _ := p.Client(withField(r, x.field, x.honest))
			lines := []string{forged, x.honest}
			if joined {
				lines = []string{forged + "," + x.honest}
			}
			if got, _ := p.Client(withField(r, x.field, lines...)); got != honest {
				t.Fatalf("%s: %q makes the client %+v", x.field, lines, got)
			}
			// Without a proxy that adds a field, the result may be garbage.
			r = withField(r, x.field, forged)
			r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Port"] = []string{proto}, []string{host}, []string{host}
			c, _ := p.Client(r)
			if _, err := netip.ParseAddrPort(c.Addr); err != nil || c.Scheme != "http" && c.Scheme != "https" || strings.ContainsAny(c.Host, "/\\@?#% \t\r\n\"'<>,;") || c.Host == "" {
				t.Fatalf("got %+v", c)
			}
			// Fields of an untrusted peer have no effect.
			r.RemoteAddr = stranger
			if c, proxied := p.Client(r); proxied || c != direct(r) {
				t.Fatalf("of a stranger: %+v", c)
			}
		}
	})
}

func withField(r *http.Request, name string, lines ...string) *http.Request {
	r = r.Clone(r.Context())
	r.Header[name] = lines
	return r
}

// FuzzElement checks that parsing the members of a valid field from the right
// gives the same result as parsing from the left.
func FuzzElement(f *testing.F) {
	f.Add(`for=192.0.2.1, for="a,b";x="\"", proto=https`)
	f.Add(`for="a\\",for="\,"`)
	f.Fuzz(func(t *testing.T, line string) {
		want, ok := splitFromLeft(line)
		if !ok {
			return
		}
		l := list{lines: []string{line}, left: 1 << 20, quote: true}
		for i := len(want) - 1; i >= 0; i-- {
			if got, ok := l.previous(); !ok || got != want[i] {
				t.Fatalf("member %d of %q is %q, want %q", i, line, got, want[i])
			}
		}
		if more, ok := l.previous(); ok {
			t.Fatalf("%q has %q as well", line, more)
		}
	})
}

// splitFromLeft splits a line by its grammar. ok is false if a member is not an
// element.
func splitFromLeft(line string) (members []string, ok bool) {
	quoted, begin := false, 0
	add := func(m string) bool {
		m = strings.Trim(m, " \t")
		if m == "" {
			return true
		}
		members = append(members, m)
		_, ok := parseElement(m)
		return ok
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			if !add(line[begin:i]) {
				return nil, false
			}
			begin = i + 1
		}
	}
	return members, !quoted && add(line[begin:])
}

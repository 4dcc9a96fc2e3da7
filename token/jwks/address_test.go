package jwks

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/token"
)

// TestConfigErrors checks which addresses are accepted, and that every error
// names its field.
func TestConfigErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   string
	}{
		"https":          {Config{Issuer: "https://id.example/realms/a"}, ""},
		"loopback":       {Config{Issuer: "http://127.0.0.1:8180/realms/a"}, ""},
		"loopback 6":     {Config{URL: "http://[::1]:8180/certs"}, ""},
		"localhost":      {Config{URL: "http://localhost:8180/certs"}, ""},
		"nothing":        {Config{}, "Issuer: required"},
		"http":           {Config{Issuer: "http://id.example"}, "https"},
		"http, a name":   {Config{Issuer: "http://127.0.0.1.evil.example"}, "https"},
		"localhost.evil": {Config{Issuer: "http://localhost.evil.example"}, "https"},
		"file":           {Config{URL: "file:///etc/keys"}, "URL"},
		"user":           {Config{URL: "https://a:b@id.example/"}, "user"},
		"fragment":       {Config{URL: "https://id.example/#a"}, "fragment"},
		"no host":        {Config{Issuer: "https:///a"}, "Issuer"},
		"too often":      {Config{Issuer: "https://id.example", Refresh: time.Second}, "Refresh"},
		"http, insecure": {Config{Issuer: "http://keycloak:8080/realms/a", InsecureHTTP: true}, ""},
		"keys, insecure": {Config{Issuer: "https://id.example", URL: "http://keycloak:8080/certs", InsecureHTTP: true}, ""},
		"it is named":    {Config{Issuer: "http://id.example"}, "insecure_http"},
		"ftp, insecure":  {Config{Issuer: "ftp://id.example", InsecureHTTP: true}, "https"},
		"user, insecure": {Config{Issuer: "http://a:b@id.example", InsecureHTTP: true}, "user"},
		"proxy":          {Config{Issuer: "https://id.example", Proxy: "http://proxy.internal:3128"}, ""},
		"proxy by https": {Config{Issuer: "https://id.example", Proxy: "https://proxy.internal/"}, ""},
		"proxy, socks":   {Config{Issuer: "https://id.example", Proxy: "socks5://proxy.internal:1080"}, "Proxy: is not the URL"},
		"proxy, no URL":  {Config{Issuer: "https://id.example", Proxy: "proxy.internal:3128"}, "Proxy: is not the URL"},
		"proxy, a name":  {Config{Issuer: "https://id.example", Proxy: "http://a:b@proxy.internal"}, "Proxy: has more"},
		"proxy, a path":  {Config{Issuer: "https://id.example", Proxy: "http://proxy.internal/x"}, "Proxy: has more"},
		"proxy, a port":  {Config{Issuer: "https://id.example", Proxy: "http://proxy.internal:0"}, "Proxy: has a port"},
		"proxy, other":   {Config{Issuer: "https://id.example", Proxy: "http://proxy.internal", Transport: http.DefaultTransport}, "Proxy: Transport"},
		"negative":       {Config{Issuer: "https://id.example", Timeout: -1}, "Timeout"},
	} {
		_, err := New(tt.config)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one of %q", name, err, tt.want)
		}
	}
}

// TestPublic checks that private addresses are recognized in every spelling.
func TestPublic(t *testing.T) {
	for _, private := range []string{
		"127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255",
		"240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "::127.0.0.1", "fec0::1", "2001:db8::1",
	} {
		if public(netip.MustParseAddr(private)) {
			t.Errorf("%s is accepted as public", private)
		}
	}
	for _, address := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"} {
		if !public(netip.MustParseAddr(address)) {
			t.Errorf("%s is not accepted as public", address)
		}
	}
}

// serveProvider starts a provider on this machine that answers by calling
// answer, and returns its issuer. It also starts a victim, which no request may
// reach, and counts the requests to it.
func serveProvider(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, victim string)) (issuer string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	victim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = w.Write(must(token.NewKeySet(testKeys()[0])).PublicJWKS())
	}))
	t.Cleanup(victim.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, victim.URL) }))
	t.Cleanup(server.Close)
	return server.URL, reached
}

// TestAnswersReachNoPrivateNetwork checks that no answer leads into a private
// network: neither the discovery document nor a redirect, by address or by a
// name that resolves to one.
func TestAnswersReachNoPrivateNetwork(t *testing.T) {
	port := func(u string) string { return must(url.Parse(u)).Port() }
	wants := map[string]string{
		"file": "is not a URL with a host", "in circles": "more than 3 redirects",
		"discovery": "jwks_uri is not an address that keys are fetched from", "metadata": "jwks_uri is not an address that keys are fetched from",
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, string){
		"redirect": func(w http.ResponseWriter, r *http.Request, v string) { http.Redirect(w, r, v, http.StatusFound) },
		"localhost": func(w http.ResponseWriter, r *http.Request, v string) {
			http.Redirect(w, r, "http://localhost:"+port(v), http.StatusFound)
		},
		"mapped": func(w http.ResponseWriter, r *http.Request, v string) {
			http.Redirect(w, r, "http://[::ffff:127.0.0.1]:"+port(v), http.StatusFound)
		},
		"by https": func(w http.ResponseWriter, r *http.Request, v string) {
			http.Redirect(w, r, "https://127.0.0.1:"+port(v), http.StatusFound)
		},
		"by a name": func(w http.ResponseWriter, r *http.Request, v string) {
			http.Redirect(w, r, "https://LOCALHOST:"+port(v), http.StatusFound)
		},
		"file": func(w http.ResponseWriter, r *http.Request, v string) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		},
		"discovery": func(w http.ResponseWriter, r *http.Request, v string) {
			_, _ = w.Write([]byte(`{"issuer":"http://` + r.Host + `","jwks_uri":"` + v + `"}`))
		},
		"metadata": func(w http.ResponseWriter, r *http.Request, _ string) {
			_, _ = w.Write([]byte(`{"issuer":"http://` + r.Host + `","jwks_uri":"http://169.254.169.254/"}`))
		},
		"in circles": func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		},
	} {
		issuer, reached := serveProvider(t, answer)
		k := must(New(Config{Issuer: issuer}))
		want := cmp.Or(wants[name], "leads to an address that is not public")
		if set, err := k.KeySet(t.Context(), "x"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, %v, want %q", name, set, err, want)
		}
		if reached.Load() != 0 {
			t.Errorf("%s: a request reached the victim", name)
		}
	}
}

// TestOverTheWire checks that the configured host may be private, and may
// redirect to itself.
func TestOverTheWire(t *testing.T) {
	issuer, _ := serveProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		switch r.URL.Path {
		case discoveryPath:
			http.Redirect(w, r, "/moved", http.StatusMovedPermanently)
		case "/moved":
			_, _ = w.Write([]byte(`{"issuer":"http://` + r.Host + `","jwks_uri":"http://` + r.Host + `/certs"}`))
		case "/certs":
			_, _ = w.Write(must(token.NewKeySet(testKeys()[0])).PublicJWKS())
		}
	})
	k := must(New(Config{Issuer: issuer}))
	if !has(t, k, testKeys()[0].ID()) {
		t.Error("the key is missing")
	}
}

// TestDialer checks that the dialer checks the address that a name resolves to.
func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	transport := reach{trusted: "127.0.0.1:" + port}.transport(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if c, err := transport.DialContext(ctx, "tcp", "localhost:"+port); err == nil || !strings.Contains(err.Error(), "leads to an address that is not public") {
		t.Errorf("a name leads to this machine: %v, %v", c, err)
	}
	c, err := transport.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestInsecureHTTP checks that with InsecureHTTP, the provider's own host and
// port may use http, and no other address.
func TestInsecureHTTP(t *testing.T) {
	of := reach{trusted: "keycloak:8080", insecureHTTP: true}
	for address, want := range map[string]bool{
		"http://keycloak:8080/certs": true, "https://keycloak:8080/certs": true, "https://keys.example/certs": true, "http://localhost:8080/": false,
		"http://keycloak/certs": false, "http://keycloak:8081/certs": false, "http://keys.example/certs": false, "http://10.0.0.1:8080/": false,
		"https://10.0.0.1:8080/": false, "https://localhost:8080/": false, "http://a@keycloak:8080/": false, "ftp://keycloak:8080/": false,
	} {
		if err := of.checkLed(must(url.Parse(address))); (err == nil) != want {
			t.Errorf("%s: got %v, want success: %v", address, err, want)
		}
	}
}

// aProxy starts an HTTP proxy that answers for a provider and records the
// requests.
func aProxy(t *testing.T, jwksURI string) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, r.Method+" "+r.RequestURI)
		mu.Unlock()
		switch {
		case r.Method == http.MethodConnect:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == discoveryPath:
			_, _ = w.Write([]byte(`{"issuer":"http://id.internal","jwks_uri":"` + jwksURI + `"}`))
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "https://other.example/keys", http.StatusFound)
		default:
			_, _ = w.Write(must(token.NewKeySet(testKeys()[0])).PublicJWKS())
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
}

// TestProxy checks that keys are fetched through the configured proxy, and only
// from the configured host, whatever an answer says.
func TestProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		jwksURI string
		config  Config
		asked   []string
		want    string // part of the error
	}{
		"the host itself": {"http://id.internal/certs", Config{}, []string{"GET http://id.internal" + discoveryPath, "GET http://id.internal/certs"}, ""},
		"its keys named":  {"", Config{URL: "http://id.internal:81/certs"}, []string{"GET http://id.internal:81/certs"}, ""},
		"another host":    {"https://other.example/certs", Config{}, []string{"GET http://id.internal" + discoveryPath}, "name the URL of the keys"},
		"a redirect":      {"http://id.internal/moved", Config{}, []string{"GET http://id.internal" + discoveryPath, "GET http://id.internal/moved"}, "name the URL of the keys"},
		"metadata":        {"http://169.254.169.254/", Config{}, []string{"GET http://id.internal" + discoveryPath}, "must be https"},
		"an address":      {"https://10.0.0.1/", Config{}, []string{"GET http://id.internal" + discoveryPath}, "not public"},
		"by https":        {"", Config{URL: "https://id.internal/certs"}, []string{"CONNECT id.internal:443"}, "Bad Gateway"},
	} {
		proxy, asked := aProxy(t, tt.jwksURI)
		tt.config.Issuer, tt.config.InsecureHTTP, tt.config.Proxy = "http://id.internal", true, proxy
		k := must(New(tt.config))
		_, err := k.KeySet(t.Context(), testKeys()[0].ID())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if got := asked(); !slices.Equal(got, tt.asked) {
			t.Errorf("%s: the proxy was asked for %q", name, got)
		}
	}
}

// TestNoProxyUnlessNamed checks that proxies in the environment are ignored,
// and that no proxy is used for this machine.
func TestNoProxyUnlessNamed(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:9")
	}
	request := must(http.NewRequest(http.MethodGet, "https://id.example/", nil))
	if proxy, err := (reach{trusted: "id.example:443"}).transport(time.Second).Proxy(request); proxy != nil || err != nil {
		t.Errorf("got %v, %v", proxy, err)
	}
	of := reach{trusted: "id.example:443", proxy: must(url.Parse("http://proxy.internal:3128"))}
	if proxy, err := of.transport(time.Second).Proxy(request); proxy == nil || err != nil {
		t.Errorf("the configured proxy: %v, %v", proxy, err)
	}
	request = must(http.NewRequest(http.MethodGet, "http://127.0.0.1:8180/", nil))
	if proxy, err := of.transport(time.Second).Proxy(request); proxy != nil || err != nil {
		t.Errorf("for this machine: %v, %v", proxy, err)
	}
}

// FuzzDiscovery checks that only documents of the issuer yield an address, and
// that fetching from the address is safe.
func FuzzDiscovery(f *testing.F) {
	seeds := []string{
		`{"issuer":"https://id.example","jwks_uri":"https://id.example/certs"}`, `{"issuer":"https://id.example","jwks_uri":"http://127.0.0.1/"}`, `{"issuer":"https://evil.example"}`, `{}`, `[]`, ``,
		`{"issuer":"https://id.example","jwks_uri":"https://10.0.0.1/"}`, `{"issuer":"https://id.example","issuer":"x","jwks_uri":1}`, `{"issuer":"https://id.example","jwks_uri":"https://[::ffff:10.0.0.1]:443/"}`,
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		address, err := readDiscovery([]byte(body), issuer)
		if err != nil {
			return
		}
		if !strings.Contains(body, "issuer") || address == "" {
			t.Errorf("%q: found %q", body, address)
		}
		u, err := url.Parse(address)
		if err != nil || (reach{trusted: "id.example:443"}).checkLed(u) != nil {
			return
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if u.Scheme != "https" || u.User != nil || err == nil && !public(addr) || u.Hostname() == "localhost" {
			t.Errorf("%q: would fetch from %q", body, address)
		}
		proxied := reach{trusted: "id.example:443", insecureHTTP: true, proxy: must(url.Parse("http://proxy.internal:3128"))}
		if proxied.checkLed(u) == nil && hostPort(u) != "id.example:443" {
			t.Errorf("%q: would fetch from %q through the proxy", body, address)
		}
	})
}

// FuzzMaxAge checks that the result is from 0 to a day.
func FuzzMaxAge(f *testing.F) {
	for _, s := range []string{"", "max-age=1", "public, max-age=300", "max-age=99999999999999999999", "MAX-AGE=\"5\"", "max-age=-1", "max-age", ",,="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if age := maxAge([]string{line}); age < 0 || age > 24*time.Hour {
			t.Errorf("%q: got %v", line, age)
		}
	})
}

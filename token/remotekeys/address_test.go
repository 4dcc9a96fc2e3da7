package remotekeys

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/token"
)

// Only what is safe on the way is an address; every fault has its field's name.
func TestConfigFaults(t *testing.T) {
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
		"negative":       {Config{Issuer: "https://id.example", Timeout: -1}, "Timeout"},
	} {
		_, err := New(tt.config)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one of %q", name, err, tt.want)
		}
	}
}

// What is not of the public internet is known in every spelling.
func TestPublic(t *testing.T) {
	for _, private := range []string{
		"127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255",
		"240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "::127.0.0.1", "fec0::1", "2001:db8::1",
	} {
		if public(netip.MustParseAddr(private)) {
			t.Errorf("%s passes for public", private)
		}
	}
	for _, address := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"} {
		if !public(netip.MustParseAddr(address)) {
			t.Errorf("%s does not pass for public", address)
		}
	}
}

// served is a real provider on this machine that answers with the handler, and
// a victim beside it that nothing may reach.
func served(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, victim string)) (issuer string, reached *atomic.Int64) {
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

// No answer leads into a network that is private, neither the discovery
// document nor a redirect, by address or by a name that resolves to one.
func TestAnswersLeadNowhere(t *testing.T) {
	port := func(u string) string { return must(url.Parse(u)).Port() }
	wants := map[string]string{
		"file": "no URL of a host", "in circles": "more than 3 redirects",
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
		issuer, reached := served(t, answer)
		k := must(New(Config{Issuer: issuer}))
		want := cmp.Or(wants[name], "leads to an address that is not public")
		if set, err := k.KeySet(t.Context(), "x"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: it has found %v, %v, want %q", name, set, err, want)
		}
		if reached.Load() != 0 {
			t.Errorf("%s: it was led away", name)
		}
	}
}

// The host that was named may be private, and may redirect to itself.
func TestOverTheWire(t *testing.T) {
	issuer, _ := served(t, func(w http.ResponseWriter, r *http.Request, _ string) {
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
		t.Error("the key is not there")
	}
}

// The dialer looks at the address that a name has resolved to.
func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	transport := newTransport("127.0.0.1:"+port, time.Second)
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

// FuzzDiscovery: what is found stands in a document of the issuer, and where it
// is fetched from it is safe on the way.
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
		if err != nil || checkLed(u, "id.example:443") != nil {
			return
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if u.Scheme != "https" || u.User != nil || err == nil && !public(addr) || u.Hostname() == "localhost" {
			t.Errorf("%q: would fetch from %q", body, address)
		}
	})
}

// FuzzMaxAge: it is never negative and at most a day.
func FuzzMaxAge(f *testing.F) {
	for _, s := range []string{"", "max-age=1", "public, max-age=300", "max-age=99999999999999999999", "MAX-AGE=\"5\"", "max-age=-1", "max-age", ",,="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if age := maxAge([]string{line}); age < 0 || age > 24*time.Hour {
			t.Errorf("%q: %v", line, age)
		}
	})
}

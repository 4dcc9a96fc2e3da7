package gateway

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// A corsBackend is an upstream that implements CORS itself, and adds other
// fields to its answers to preflights.
type corsBackend struct {
	*backend
}

func (g corsBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.requests = append(g.requests, r.Clone(r.Context()))
	g.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Vary", "Origin")
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Methods", "PURGE")
		w.Header().Set("Access-Control-Allow-Private-Network", "true")
		w.Header().Set("Allow", r.Method)
	}
	status := http.StatusOK
	switch r.URL.Path {
	case "/none":
		status = http.StatusNoContent
	case "/refused":
		status = http.StatusForbidden
	case "/zipped":
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "what only users may read")
		_ = z.Close()
		return
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = io.WriteString(w, "what only users may read")
	}
}

func newCORSBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.serve(t, corsBackend{b})
	return b
}

// TestG10_UpstreamsPolicy checks that the CORS fields of the upstream pass
// unchanged, and that preflights reach it without identity.
func TestG10_UpstreamsPolicy(t *testing.T) {
	inBothServers(t, func(t *testing.T, start func(...func(*Config)) *rig) {
		b := newCORSBackend(t)
		r := start(func(c *Config) {
			c.Routes = []proxy.Route{{
				Path: "/", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Upstream: true}, KeepCredential: true, Assertion: "",
				Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Query{Name: "jwt"}, wsauth.Cookies{}}, AppParameters: []string{"access_token"},
			}}
		})
		access, _ := r.Login()
		if e := r.Send("GET", "/x", nil, "Origin: "+corsEvil, bearer(access)); e.StatusCode != 200 || !slices.Equal(e.Header["Access-Control-Allow-Origin"], []string{corsEvil}) || e.Text == "" {
			t.Errorf("got %d %s %v, want the answer of the upstream", e.StatusCode, e.Text, e.Header)
		}
		if e := r.Send("GET", "/x", nil, "Origin: "+corsEvil); e.StatusCode != 401 || len(corsOf(e.Header)) > 0 {
			t.Errorf("a refusal of the gateway's own: %d %v", e.StatusCode, e.Header)
		}

		ticket := r.ticketFor(access, "/x")
		sent := append(preflightFor(corsEvil, "PURGE", "x-user", "authorization"),
			"X-User: root", "X-Http-Method-Override: DELETE", "X-Http-Method: DELETE", "X-Method-Override: DELETE", "X-Original-Url: /admin", "X-Rewrite-Url: /admin",
			"X-Api-Key: secret", "X-Access-Token: "+access, "Referer: https://app.example/?ticket="+ticket, "Accept: */*", "User-Agent: Mozilla", "Sec-Fetch-Mode: cors", "X-Forwarded-For: 1.1.1.1",
			"Access-Control-Request-Private-Network: true", "Content-Type: application/json", "Range: bytes=0-1", "If-None-Match: x")
		e := r.Send("OPTIONS", "/x?a=1&ticket="+ticket+"&jwt="+access+"&access_token=theirs&b=2&c="+access, nil, sent...)
		want := map[string]string{"Allow-Origin": corsEvil, "Allow-Methods": "PURGE", "Allow-Private-Network": "true", "Vary": "Origin"}
		if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" || e.StatusCode != 200 || e.Text != "" || e.Header.Get("Allow") != "OPTIONS" {
			t.Errorf("%d %q %v (- want, + got):\n%s", e.StatusCode, e.Text, e.Header, diff)
		}
		got := b.last()
		if got.Method != "OPTIONS" || got.RequestURI != "/x?a=1&access_token=theirs&b=2" || got.ContentLength != 0 {
			t.Errorf("the upstream was asked to %s %s", got.Method, got.RequestURI)
		}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Cdn-Loop"} { // the gateway's own
			if got.Header.Get(name) == "" || strings.Contains(got.Header.Get(name), "1.1.1.1") {
				t.Errorf("%s is %q", name, got.Header.Get(name))
			}
			got.Header.Del(name)
		}
		got.Header.Del("Accept-Encoding")
		wantHeader := http.Header{
			"Origin": {corsEvil}, "Access-Control-Request-Method": {"PURGE"}, "Access-Control-Request-Headers": {"x-user,authorization"},
			"Access-Control-Request-Private-Network": {"true"}, "Accept": {"*/*"}, "User-Agent": {"Mozilla"}, "Sec-Fetch-Mode": {"cors"},
		}
		if diff := cmp.Diff(wantHeader, got.Header); diff != "" {
			t.Errorf("the upstream has (- want, + got):\n%s", diff)
		}
		if strings.HasPrefix(r.URL, "http:") {
			for _, status := range []int{200, 401} { // the upstream declines a socket
				if e := r.callUnchanged("GET /x?ticket="+ticket+" HTTP/1.1", upgradeLines...); e.StatusCode != status {
					t.Errorf("the ticket after a preflight: %d %s, want %d", e.StatusCode, e.Text, status)
				}
			}
		}

		for path, status := range map[string]int{"/none": 204, "/refused": 403, "/zipped": 200} {
			e := r.Send("OPTIONS", path, nil, append(preflightFor(corsEvil, "GET"), "Accept-Encoding: gzip")...)
			if e.StatusCode != status || e.Text != "" || e.Header.Get("Access-Control-Allow-Origin") != corsEvil || e.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s: got %d %q %v, want an empty %d", path, e.StatusCode, e.Text, e.Header, status)
			}
		}

		// Requests that are not preflights need a token.
		whole := preflightFor(corsEvil, "GET")
		n := b.count()
		for _, c := range []struct {
			method string
			body   string
			lines  []string
			status int
		}{
			{"OPTIONS", "", whole[:1], 401},
			{"OPTIONS", "", whole[1:], 401},
			{"OPTIONS", "x", whole, 401},
			{"OPTIONS", "", append(slices.Clone(whole), "Cookie: a=b"), 401},
			{"OPTIONS", "", append(slices.Clone(whole), "Authorization: Basic YTpi"), 401},
			{"OPTIONS", "", append(slices.Clone(whole), whole[0]), 401},
			{"OPTIONS", "", append(slices.Clone(whole), "Access-Control-Request-Method: DELETE"), 401},
			{"GET", "", whole, 401},
			{"HEAD", "", whole, 401},
			{"POST", "", whole, 401},
			{"DELETE", "", append(slices.Clone(whole), "X-Http-Method-Override: OPTIONS"), 401},
		} {
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			if e := r.Send(c.method, "/x", body, c.lines...); e.StatusCode != c.status {
				t.Errorf("%s %q: got %d %s, want %d", c.method, c.lines, e.StatusCode, e.Text, c.status)
			}
		}
		if got := b.count() - n; got != 0 {
			t.Errorf("%d of them reached the upstream, want none", got)
		}
		if e := r.Send("OPTIONS", "/x", nil, append(whole, bearer(access))...); e.StatusCode != 200 || e.Text == "" {
			t.Errorf("a user's own OPTIONS: %d %q", e.StatusCode, e.Text)
		}
	})
}

package config

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/proxy"
	"wsauth/login"
	"wsauth/token"
)

// faultsOf returns the errors of a text, each as "LINE: KEY: TEXT".
func faultsOf(t *testing.T, text string) []string {
	t.Helper()
	_, err := (&Maker{}).Make(Parse("f.yaml", []byte(text)))
	if err == nil {
		return nil
	}
	all, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatalf("got %T: %v", err, err)
	}
	var lines []string
	for _, f := range all {
		lines = append(lines, strings.TrimPrefix(f.Error(), "f.yaml:"))
	}
	return lines
}

// wanted matches a comment that names the error of a line: "#! KEY: part of the
// text".
var wanted = regexp.MustCompile(`#! (.*)$`)

// TestEveryErrorHasItsLine checks that the errors of each file in
// testdata/faulty are those that its comments state, on the same lines. All are
// found at once.
func TestEveryErrorHasItsLine(t *testing.T) {
	files, err := filepath.Glob("testdata/faulty/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, line := range strings.Split(string(text), "\n") {
				if found := wanted.FindStringSubmatch(line); found != nil {
					for text := range strings.SplitSeq(found[1], " #! ") {
						want = append(want, strconv.Itoa(i+1)+": "+text)
					}
				}
			}
			got := faultsOf(t, string(text))
			for i := range max(len(got), len(want)) {
				switch {
				case i >= len(got):
					t.Errorf("missing: %s", want[i])
				case i >= len(want):
					t.Errorf("too much: %s", got[i])
				case !strings.HasPrefix(got[i], want[i]):
					t.Errorf("got  %s\nwant %s", got[i], want[i])
				}
			}
		})
	}
}

// TestFaultsShowNoSecrets checks that errors repeat neither a value written in
// the wrong place nor passwords in URLs.
func TestFaultsShowNoSecrets(t *testing.T) {
	const secret = "hunter2-canary"
	for _, text := range []string{
		"password: " + secret, "listen: [" + secret + "]", "access_ttl: " + secret, "log: {format: " + secret + "}", secret,
		"a: \"" + secret, "a: [" + secret, "a: |" + secret + "\n  x", "a: &x " + secret, "a: !" + secret + " x", "listen: " + secret,
		"max_sockets: " + secret, "routes: [{path: /, upstream: 'http://u:" + secret + "@h:1'}]", "issuer: https://u:" + secret + "@h",
		"providers: [{issuer: 'https://u:" + secret + "@h', audience: a}]", "providers: [{issuer: 'https://h', audience: a, keys: 'https://u:" + secret + "@h'}]",
		"routes: [{path: /, upstream: 'http://h:1', limits: {max_body: " + secret + "}}]", "routes: [{path: /, upstream: 'http://h:1', extractors: [" + secret + "]}]",
		"origins: ['https://u:" + secret + "@h']", "routes: [{path: /, upstream: 'http://h:1', host: 'u:" + secret + "@h', origins: ['https://u:" + secret + "@h']}]",
	} {
		faults := faultsOf(t, text)
		if len(faults) == 0 {
			t.Errorf("%q has no fault", text)
		}
		for _, f := range faults {
			if strings.Contains(f, secret) {
				t.Errorf("%q is shown: %s", text, f)
			}
		}
	}
}

// TestFaultsOfOverrides checks that an error caused by an override names the
// override.
func TestFaultsOfOverrides(t *testing.T) {
	d := Parse("f.yaml", []byte("access_ttl: 1h\nlisten: [x]\nmax_sockets: 3\n"))
	d.Settings.Listen = "127.0.0.1:0"
	d.Override("listen", "--addr")
	d.Settings.RefreshTTL = time.Minute
	d.Override("refresh_ttl", "WSAUTH_REFRESH_TTL")
	_, err := (&Maker{}).Make(d)
	if err == nil || !strings.HasPrefix(err.Error(), "WSAUTH_REFRESH_TTL: must be whole seconds, longer than an access token lives (1h0m0s)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if !d.Has("listen") || !d.Has("max_sockets") || d.Has("users") {
		t.Error("Has is wrong")
	}
}

func TestMake(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), certificate(t), 0o600); err != nil {
		t.Fatal(err)
	}
	d := Parse(filepath.Join(folder, "f.yaml"), []byte(`
users: users.txt
data: /var/lib/wsauth
max_sockets: 0
refresh_grace: 0s
refresh_retry: 0s
auth: {prefix: /login}
providers:
  - {preset: keycloak, issuer: https://id.example/realms/app, audience: [chat, 5]}
routes:
  - path: /
    upstream: https://127.0.0.1:9000
    tls: {ca: ca.pem, server_name: backend}
    requirement: fresh
    claims: {role: admin, level: [1, 2]}
    extractors: [query, {cookie: {access: sid, insecure_no_csrf: true}}]
    origins: [https://app.example]
    refusal: close
    headers: {}
    header_lists: json
    limits: {max_message: 2MiB, ping: 0s}
    app_parameters: [access_token]
  - {path: /public/, public: true, upstreams: ["unix:/run/a.sock", "http://h:1"], tls:, scopes: [], sockets: true, origins: any}
  - {path: /api, upstream: "http://h:1", extractors: [header], origins: any}
`))
	m := &Maker{}
	c, err := m.Make(d)
	if err != nil {
		t.Fatal(err)
	}
	if d.Settings.Users != filepath.Join(folder, "users.txt") || d.Settings.Data != "/var/lib/wsauth" {
		t.Errorf("got %+v", d.Settings)
	}
	if c.Limits.PerSubject >= 0 || c.Login.RefreshGrace >= 0 || c.Login.RefreshRetry >= 0 || c.Login.Prefix != "/login" || c.NoAuth || len(c.Tokens.Providers) != 1 {
		t.Errorf("got %+v", c)
	}
	first, second := c.Routes[0], c.Routes[1]
	if first.TLS == nil || first.TLS.RootCAs == nil || first.TLS.ServerName != "backend" || first.TLS.InsecureSkipVerify || second.TLS != nil {
		t.Errorf("got %+v, %+v", first.TLS, second.TLS)
	}
	if first.Requirement != wsauth.Fresh || first.Refusal != wsauth.RefuseClose || first.HeaderLists != proxy.ListsAsJSON || second.HeaderLists != proxy.ListsByComma || len(first.Headers) != 0 || first.Headers == nil {
		t.Errorf("got %+v", first)
	}
	if want := map[string][]string{"role": {"admin"}, "level": {"1", "2"}}; !cmp.Equal(first.Claims, want) {
		t.Errorf("got %v, want %v", first.Claims, want)
	}
	cookies, ok := first.Extractors[1].(wsauth.Cookies)
	if first.Extractors[0] != (wsauth.Query{Name: "token"}) || !ok || cookies.Access.Name != "sid" || !cookies.InsecureNoCSRF {
		t.Errorf("got %v", first.Extractors)
	}
	if first.Limits.MaxFrame != 2<<20 || first.Limits.Ping >= 0 || first.Limits.MaxBody >= 0 || first.Limits.MaxFragments != 16384 {
		t.Errorf("got %+v", first.Limits)
	}
	if !second.Public || len(second.Headers) != 0 || len(second.Upstreams) != 2 {
		t.Errorf("got %+v", second)
	}
	if !second.AnyOrigin || second.Origins != nil || !c.Routes[2].AnyOrigin || first.AnyOrigin || !slices.Equal(first.Origins, []string{"https://app.example"}) {
		t.Errorf("origins: %v, %+v, %+v", first.Origins, second, c.Routes[2])
	}
	if !slices.Equal(first.AppParameters, []string{"access_token"}) || second.AppParameters != nil {
		t.Errorf("parameters: %q, %q", first.AppParameters, second.AppParameters)
	}
	again, err := m.Make(d)
	if err != nil || again.Routes[0].TLS != first.TLS {
		t.Errorf("unchanged files are not equal: %v", err)
	}
	if w := d.Warnings(); len(w) != 2 || !strings.Contains(w[0], "insecure_no_csrf") || !strings.Contains(w[1], "routes[1].origins: any") {
		t.Errorf("got %q", w)
	}
}

// TestDefaultsAreThoseOfTheGateway checks that an empty file, and a file with
// only the required settings, get the gateway's own defaults.
func TestDefaultsAreThoseOfTheGateway(t *testing.T) {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	users := login.AuthenticatorFunc(func(context.Context, string, string) (bool, error) { return false, nil })
	for text, plain := range map[string]gateway.Config{
		"": {},
		"routes: [{path: /, upstream: 'http://127.0.0.1:9000'}]": {Routes: []proxy.Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:9000"}}}},
	} {
		made, err := (&Maker{}).Make(Parse("f.yaml", []byte(text)))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		made.Tokens.Keys, plain.Tokens.Keys = keys, keys
		made.Login.Users, plain.Login.Users = users, users
		ours, err := made.Check()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		theirs, err := plain.Check()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, c := range []*gateway.Config{&ours, &theirs} {
			c.Store, c.Logger, c.Tokens.Keys = nil, nil, nil // cannot be compared
			c.Login.Store, c.Login.Logger, c.Login.Keys, c.Login.Users = nil, nil, nil, nil
			for i := range c.Routes {
				c.Routes[i].Extractors, c.Routes[i].Claims = nil, nil // the file states them
			}
		}
		if fmt.Sprintf("%+v", ours) != fmt.Sprintf("%+v", theirs) {
			t.Errorf("%q:\n%s", text, cmp.Diff(theirs, ours))
		}
		if ours.Login.AccessTTL == 0 {
			t.Errorf("%q: no defaults were filled in: %+v", text, ours)
		}
	}
}

// TestEveryFieldHasAKey checks that every field of a route is a key, so that
// its faults have a line.
func TestEveryFieldHasAKey(t *testing.T) {
	keys := strings.Join(allKeys(reflect.TypeFor[Settings](), ""), " ") + " "
	for _, typ := range []reflect.Type{reflect.TypeFor[proxy.Route](), reflect.TypeFor[proxy.RouteLimits](), reflect.TypeFor[proxy.Health]()} {
		for f := range typ.Fields() {
			if key := fieldKeys[f.Name]; key == "" || !strings.Contains(keys, "."+key+" ") {
				t.Errorf("%s.%s: %q is no key", typ, f.Name, key)
			}
		}
	}
	for name := range settings(reflect.TypeFor[gateway.Config](), "") {
		if key := new(Document).keyOf(&fault.Fault{Field: name}); key == "" || !strings.Contains(" "+keys, " "+key+" ") {
			t.Errorf("Config.%s: %q is no key", name, key)
		}
	}
}

// settings yields the fields of a configuration that a file can set, with
// those of its parts.
func settings(typ reflect.Type, part string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for f := range typ.Fields() {
			switch kind := f.Type.Kind(); {
			case kind == reflect.Struct:
				settings(f.Type, f.Name+".")(yield)
			case kind == reflect.Func || kind == reflect.Interface:
			case slices.Contains([]string{"Logger", "ErrorLog", "Guard", "Events", "MaxHead", "TicketKey", "PerSession", "PerAddress", "HandshakesPerMinute"}, f.Name):
			default:
				yield(part + f.Name)
			}
		}
	}
}

// certificate returns a certificate in PEM form.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

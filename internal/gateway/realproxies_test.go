package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/testenv"
)

// A realProxy is a program in front of the gateway, with its configuration in
// docs/behind-a-proxy.md.
type realProxy struct {
	name    string
	program string
	section string // of the page
	fence   string // of the configuration there
	backend bool   // with the second backend of the page
	prepare func(t *testing.T, config string, at proxyEnv) (complete string, args []string)
	change  func(config, settings string) (string, string) // of the text of the page; may be nil
	scheme  string                                         // of clients, as far as the gateway can know
	through bool                                           // the gateway terminates TLS
}

// A proxyEnv is the environment of a running proxy.
type proxyEnv struct {
	dir         string
	addr        string // to listen on
	gateway     string
	certificate string // a file that also has the key
	key         string
}

var realProxies = []realProxy{
	{name: "nginx", program: "nginx", section: "nginx", fence: "nginx", prepare: nginxConfig, scheme: "https"},
	{name: "nginx, kept connections", program: "nginx", section: "nginx", fence: "nginx", prepare: nginxConfig, scheme: "https",
		change: func(config, settings string) (string, string) {
			config = strings.Replace(config, "proxy_pass http://127.0.0.1:8000;", "proxy_pass http://gateway;", 1)
			return "upstream gateway {\n    server 127.0.0.1:8000;\n    keepalive 1;\n}\n" + config, settings
		}},
	{name: "HAProxy, PROXY 2", program: "haproxy", section: "HAProxy", fence: "haproxy", prepare: haproxyConfig, scheme: "https"},
	{name: "HAProxy, PROXY 1", program: "haproxy", section: "HAProxy", fence: "haproxy", prepare: haproxyConfig, scheme: "http",
		change: func(config, settings string) (string, string) {
			return strings.Replace(config, "send-proxy-v2-ssl", "send-proxy", 1), settings
		}},
	{name: "HAProxy, PROXY 2, TLS passed through", program: "haproxy", section: "HAProxy", fence: "haproxy", prepare: haproxyConfig, scheme: "https", through: true,
		change: func(config, settings string) (string, string) {
			config = strings.NewReplacer("mode http", "mode tcp", "send-proxy-v2-ssl", "send-proxy-v2").Replace(config)
			return regexp.MustCompile(` ssl crt .*`).ReplaceAllString(config, ""), settings
		}},
	{name: "HAProxy, X-Forwarded-For", program: "haproxy", section: "HAProxy", fence: "haproxy", prepare: haproxyConfig, scheme: "https", backend: true,
		change: func(config, settings string) (string, string) {
			return config + "\n", strings.Replace(settings, "forwarded_source: proxy_protocol\n", "", 1)
		}},
	{name: "Caddy", program: "caddy", section: "Caddy", fence: "caddyfile", prepare: caddyConfig, scheme: "https"},
}

// TestRealProxies checks that behind real proxies with the configurations of
// the page, the gateway knows each client and its scheme and host, and that no
// client can forge them.
func TestRealProxies(t *testing.T) {
	for _, p := range realProxies {
		t.Run(p.name, func(t *testing.T) {
			testenv.NeedProgram(t, p.program)
			config, settings := p.ofPage(t)
			b := newBackend(t)
			certificate := newCertificate(t)
			r := start(t, func(c *Config) {
				settings.apply(c)
				c.Login.Users, c.AccessLog = anyone, true
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}, {Path: "/public/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
				if p.through {
					c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate.pair, nil }
				}
			})
			at := p.start(t, config, strings.TrimPrefix(r.URL, "http://"), certificate)

			mallory, ada := r.clientThrough(t, at, certificate, "127.0.0.66"), r.clientThrough(t, at, certificate, "127.0.0.2")
			tries := 0
			for status := http.StatusUnauthorized; status != http.StatusTooManyRequests; tries++ {
				e := mallory.Call("POST", "/auth/login", fmt.Sprintf(`{"username":"user%d","password":"wrong"}`, tries), append([]string{jsonType}, forgeries[:6]...)...)
				if status = e.StatusCode; status != http.StatusTooManyRequests && status != http.StatusUnauthorized || tries > 200 {
					t.Fatalf("try %d: %d %s", tries, status, e.Text)
				}
			}
			if tries < 20 {
				t.Errorf("refused after %d attempts", tries)
			}
			access, _ := ada.LoginAs("ada", forgeries...)
			wantForwarded := func(what string) {
				t.Helper()
				in := b.last()
				for name, want := range map[string]string{
					"X-Forwarded-For": "127.0.0.2", "X-Real-Ip": "127.0.0.2", "X-Forwarded-Proto": p.scheme, "X-Forwarded-Host": at.host(), "Forwarded": "", "X_forwarded_for": "",
				} {
					if got := strings.Join(in.Header[name], "|"); got != want {
						t.Errorf("%s: %s is %q, want %q", what, name, got, want)
					}
				}
			}
			for _, path := range []string{"/page", "/public/page"} {
				if e := ada.Call("GET", path, "", append([]string{bearer(access)}, forgeries...)...); e.StatusCode != http.StatusOK {
					t.Fatalf("%s: got %d %s, want %v", path, e.StatusCode, e.Text, http.StatusOK)
				}
				wantForwarded(path)
			}
			for _, path := range []string{"/ws", "/public/ws"} {
				conn, response, err := ada.DialPath(path, nil, append([]string{"Origin: " + p.scheme + "://" + at.host(), bearer(access)}, forgeries...)...)
				if err != nil {
					t.Fatalf("%s: %v (%v)", path, err, response)
				}
				wantForwarded(path)
				for _, n := range []int{1, 126, 65_536, 300_000} {
					ada.WantEcho(conn, strings.Repeat("ä", n/2))
				}
			}
			if _, response, err := ada.DialPath("/ws", nil, "Origin: https://evil.example", bearer(access)); err == nil || response == nil || response.StatusCode != http.StatusForbidden {
				t.Errorf("a page of another site: %v, %v", response, err)
			}
			session := ada.Call("GET", "/auth/sessions", "", bearer(access)).Decode(t)["sessions"].([]any)[0].(map[string]any)
			if sockets := session["sockets"].([]any); session["remote"] != "127.0.0.2" || len(sockets) == 0 || sockets[0].(map[string]any)["remote"] != "127.0.0.2" {
				t.Errorf("the session: %v", session)
			}
			if e := ada.Call("POST", "/auth/login", `{"username":"ada","password":"test","cookies":true}`, jsonType); !slices.ContainsFunc(e.Cookies(), func(c *http.Cookie) bool { return c.Secure && strings.HasPrefix(c.Name, "__Host-") }) {
				t.Errorf("cookies: %v", e.Cookies())
			}
			if log := r.log.String(); strings.Contains(log, "remote=127.0.0.1:") || strings.Contains(log, "10.0.0.1") || !strings.Contains(log, "remote=127.0.0.2:") {
				t.Errorf("the log has a forged client: %s", log)
			}
		})
	}
}

// host returns the host that clients request.
func (p proxyEnv) host() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return "app.example:" + port
}

// proxySettings holds those keys of the page's YAML that concern proxies.
type proxySettings struct {
	TrustedProxies  []string `yaml:"trusted_proxies"`
	ForwardedSource string   `yaml:"forwarded_source"`
}

func (s proxySettings) apply(c *Config) {
	c.Front.TrustedProxies, c.Front.ForwardedSource = s.TrustedProxies, forwarded.Source(s.ForwardedSource)
}

// ofPage returns the configuration of the proxy in the page, and the settings
// of the gateway.
func (p realProxy) ofPage(t *testing.T) (config string, settings proxySettings) {
	t.Helper()
	page, err := os.ReadFile("../../docs/behind-a-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+p.section+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	block := func(fence string, i int) string {
		m := regexp.MustCompile("(?ms)^```"+fence+"\n(.*?)^```$").FindAllStringSubmatch(section, -1)
		if !found || len(m) <= i {
			t.Fatalf("the page has no %s for %s", fence, p.section)
		}
		return m[i][1]
	}
	config, text := block(p.fence, 0), block("yaml", 0)
	if p.backend {
		frontend, _, _ := strings.Cut(config, "\nbackend ")
		config = frontend + "\n" + block(p.fence, 1)
	}
	if p.change != nil {
		before := config
		if config, text = p.change(config, text); config == before {
			t.Fatal("the page's configuration is not changed")
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &settings, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return config, settings
}

// start runs the proxy in front of the gateway until the test ends.
func (p realProxy) start(t *testing.T, config, gateway string, certificate *testCertificate) proxyEnv {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := proxyEnv{dir: shortDir(t), addr: free.Addr().String(), gateway: gateway}
	_ = free.Close()
	at.certificate, at.key = filepath.Join(at.dir, "both.pem"), filepath.Join(at.dir, "both.pem")
	if err := os.WriteFile(at.certificate, certificate.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(config, "127.0.0.1:8000") {
		t.Fatalf("the page's configuration does not lead to the gateway: %s", config)
	}
	complete, args := p.prepare(t, strings.ReplaceAll(config, "127.0.0.1:8000", gateway), at)
	file := filepath.Join(at.dir, "config")
	if err := os.WriteFile(file, []byte(complete), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.program, append(args, file)...)
	cmd.Dir = at.dir
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+at.dir, "XDG_CONFIG_HOME="+at.dir, "HOME="+at.dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the test is over
		if err := <-ended; err == nil {
			t.Error("the proxy has ended on its own")
		}
	})
	for started := time.Now(); time.Since(started) < time.Minute; {
		if conn, err := net.Dial("tcp", at.addr); err == nil {
			_ = conn.Close()
			return at
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ends: %v\n%s\n%s", p.program, err, output.String(), complete)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", p.program)
	return proxyEnv{}
}

func nginxConfig(_ *testing.T, config string, at proxyEnv) (string, []string) {
	config = strings.NewReplacer("listen 443 ssl", "listen "+at.addr+" ssl", "/etc/ssl/app.example.pem", at.certificate, "/etc/ssl/app.example.key", at.key).Replace(config)
	return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s }
`, at.dir, config), []string{"-p", at.dir, "-e", filepath.Join(at.dir, "error.log"), "-c"}
}

func haproxyConfig(_ *testing.T, config string, at proxyEnv) (string, []string) {
	config = strings.NewReplacer("bind :443", "bind "+at.addr, "/etc/haproxy/app.example.pem", at.certificate).Replace(config)
	return `defaults
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s

` + config, []string{"-db", "-f"}
}

func caddyConfig(t *testing.T, config string, at proxyEnv) (string, []string) {
	t.Helper()
	if !strings.HasPrefix(config, "app.example {\n") {
		t.Fatalf("the page's configuration: %s", config)
	}
	config = strings.Replace(config, "app.example {\n", fmt.Sprintf("https://%s {\n    bind 127.0.0.1\n    tls %s %s\n", at.host(), at.certificate, at.key), 1)
	return "{\n    admin off\n    auto_https disable_redirects\n    storage file_system " + at.dir + "\n}\n" + config, []string{"run", "--adapter", "caddyfile", "--config"}
}

// A testCertificate is a certificate for app.example.
type testCertificate struct {
	pair tls.Certificate
	pem  []byte // with its key
	pool *x509.CertPool
}

func newCertificate(t *testing.T) *testCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	c := &testCertificate{pem: text, pool: x509.NewCertPool()}
	c.pair = must(tls.X509KeyPair(text, text))
	c.pool.AddCert(must(x509.ParseCertificate(der)))
	return c
}

// clientThrough returns a client with its own address that uses the proxy as
// https://app.example.
func (r *rig) clientThrough(t *testing.T, at proxyEnv, certificate *testCertificate, address string) *rig {
	t.Helper()
	client := *r
	client.URL = "https://" + at.host()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext(ctx, "tcp", at.addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: certificate.pool},
	}
	t.Cleanup(transport.CloseIdleConnections)
	client.HTTP = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	return &client
}

package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/testenv"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// metrics returns the samples of /metrics by "name{labels}", without the
// namespace.
func (r *rig) metrics() map[string]string {
	r.T.Helper()
	w := httptest.NewRecorder()
	r.g.Operations().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		r.T.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	all := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "wsauth_") {
			all[strings.TrimPrefix(name, "wsauth_")] = value
		}
	}
	return all
}

// count waits until a metric has a value: the metrics of a socket change after
// the client has seen the event.
func (r *rig) count(name, want string) {
	r.T.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got := r.metrics()[name]
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			r.T.Errorf("%s is %q, want %s", name, got, want)
			return
		}
	}
}

func TestMetrics(t *testing.T) {
	b := newBackend(t)
	dead := httptest.NewServer(nil)
	dead.Close()
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}},
			{Path: "/dead", Upstreams: []string{dead.URL}},
			{Path: "/close/", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose},
		}
	})
	access, refresh := r.Login()
	r.get("/a")
	r.get("/a", bearer(access))
	r.get("/dead", bearer(access))
	r.get("/auth/none")
	first := r.socket("/x", bearer(access))
	r.WantEcho(first, "hello")
	second := r.socket("/y", bearer(access))
	for _, path := range []string{"/x", "/dead", "/close/x"} {
		credential := bearer(access)
		if path != "/dead" {
			credential = bearer("x")
		}
		if conn, _, err := r.DialPath(path, nil, credential); err == nil {
			r.WantClose(conn, 3000, "token_invalid")
		}
	}
	r.count(`sockets{route="/"}`, "2")
	first.CloseNow()
	r.count(`sockets_ended_total{reason="eof",route="/"}`, "1")
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(second, 3000, "session_ended")
	for name, want := range map[string]string{
		`http_requests_total{code="200",route="/auth/login"}`:                        "1",
		`http_requests_total{code="204",route="/auth/logout"}`:                       "1",
		`http_requests_total{code="200",route="/"}`:                                  "1",
		`http_requests_total{code="401",route="/"}`:                                  "1",
		`http_requests_total{code="502",route="/dead"}`:                              "1",
		`http_requests_total{code="404",route="none"}`:                               "1",
		`http_request_duration_seconds_count{route="/"}`:                             "2",
		`handshakes_total{outcome="opened",reason="",route="/"}`:                     "2",
		`handshakes_total{outcome="refused",reason="token_invalid",route="/"}`:       "1",
		`handshakes_total{outcome="refused",reason="token_invalid",route="/close/"}`: "1",
		`handshakes_total{outcome="refused",reason="bad_gateway",route="/dead"}`:     "1",
		`handshake_duration_seconds_count{route="/"}`:                                "3",
		`upstream_latency_seconds_count{protocol="http",route="/"}`:                  "1",
		`upstream_latency_seconds_count{protocol="websocket",route="/"}`:             "2",
		`upstream_failures_total{reason="bad_gateway",route="/dead"}`:                "2",
		`sockets_ended_total{reason="session_ended",route="/"}`:                      "1",
		`socket_lifetime_seconds_count{route="/"}`:                                   "2",
		`socket_messages_total{from="client",route="/"}`:                             "1",
		`socket_messages_total{from="upstream",route="/"}`:                           "1",
		`sockets{route="/"}`:                     "0",
		`revocations_total{target="session"}`:    "1",
		`revocations_total{target="everything"}`: "0",
		`revocation_duration_seconds_count`:      "1",
		`upstreams{route="/dead"}`:               "1",
		`upstreams_healthy{route="/dead"}`:       "0",
		`upstreams_healthy{route="/"}`:           "1",
	} {
		r.count(name, want)
	}
	// The series of a removed route are removed. A route that stays keeps its
	// series.
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: []string{b.URL}}}); err != nil {
		t.Fatal(err)
	}
	for name := range r.metrics() {
		if strings.Contains(name, `route="/dead"`) || strings.Contains(name, `route="/close/"`) {
			t.Errorf("%s is still there", name)
		}
	}
	r.count(`handshakes_total{outcome="opened",reason="",route="/"}`, "2")
}

// TestMetricsOfAHandshakeWithoutAnOutcome checks that a handshake that the
// upstream declines, and one whose session ends before the upstream has
// answered, are counted with these outcomes.
func TestMetricsOfAHandshakeWithoutAnOutcome(t *testing.T) {
	arrived, leave := make(chan struct{}, 10), make(chan struct{})
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		arrived <- struct{}{}
		<-leave
	}))
	t.Cleanup(b.Close)
	t.Cleanup(func() { close(leave) })
	r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, refresh := r.Login()
	if _, resp, err := r.DialPath("/teapot", nil, bearer(access)); err == nil || resp.StatusCode != http.StatusTeapot {
		t.Errorf("declined: %v", err)
	}
	r.count(`handshakes_total{outcome="declined",reason="418",route="/"}`, "1")
	failed := make(chan error)
	go func() {
		_, _, err := r.DialPath("/slow", nil, bearer(access))
		failed <- err
	}()
	<-arrived
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	if err := <-failed; err == nil {
		t.Error("a socket opened after its session")
	}
	r.count(`handshakes_total{outcome="ended",reason="session_ended",route="/"}`, "1")
	r.count(`sockets{route="/"}`, "0")
}

// TestMetricsOfAnUpgradeOfAPlainAddress checks that an upgrade request for a
// path without sockets is counted as a plain request.
func TestMetricsOfAnUpgradeOfAPlainAddress(t *testing.T) {
	b := newBackend(t)
	for name, r := range map[string]*rig{"demonstration": start(t), "routes": serveBehind(t, b)} {
		t.Run(name, func(t *testing.T) {
			access, _ := r.Login()
			for _, credential := range []string{access, "x"} {
				resp, err := http.ReadResponse(bufio.NewReader(r.handshake("/auth/session", bearer(credential))), nil)
				if want := map[string]int{access: http.StatusOK, "x": http.StatusUnauthorized}[credential]; err != nil || resp.StatusCode != want {
					t.Errorf("%v, %v; want %d", resp, err, want)
				}
			}
			r.count(`http_requests_total{code="200",route="/auth/session"}`, "1")
			r.count(`http_requests_total{code="401",route="/auth/session"}`, "1")
			for sample := range r.metrics() {
				if strings.HasPrefix(sample, "handshakes_total{") {
					t.Errorf("%s is counted", sample)
				}
			}
		})
	}
}

// TestR7_ClientsMakeNoSeries checks that users, hosts, paths, methods, tokens
// and reasons that clients send are not labels.
func TestR7_ClientsMakeNoSeries(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Login.Users = anyone })
	n := testenv.Size(300, 3000)
	// On a busy machine, a failure of an upstream adds a series, and the size
	// of the log of revocations is known late.
	late := regexp.MustCompile(`code="50[234]"|reason="(bad_gateway|gateway_timeout|overloaded)"|wsauth_revocation_log_`)
	series := func() (names []string) {
		w := httptest.NewRecorder()
		r.g.Operations().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			if name := line[:strings.LastIndexByte(line, ' ')]; !late.MatchString(name) {
				names = append(names, name)
			}
		}
		return names
	}
	var before []string
	for i := range n {
		w := httptest.NewRecorder()
		made, err := r.g.issuer.Access(fmt.Sprint("zq-user-", i), token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodGet, fmt.Sprint("/public/", i, "?x=", i), nil)
		req.Method = []string{"GET", "HEAD", "POST", fmt.Sprint("M", i)}[i%4]
		req.Host = fmt.Sprint("zq-host-", i)
		req.Header.Set("Authorization", "Bearer "+made.Raw)
		req.Header.Set("User-Agent", fmt.Sprint("zq-agent-", i))
		r.g.ServeHTTP(w, req)
		req = httptest.NewRequest(http.MethodGet, fmt.Sprint("/", i), nil)
		req.Header.Set("Upgrade", fmt.Sprint("u", i))
		r.g.ServeHTTP(w, req)
		if i == 20 {
			before = series()
		}
	}
	after := series()
	added := slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) })
	if len(added) > 0 || len(before) < 50 {
		t.Errorf("%d series after 20 clients; %d more after %d: %q", len(before), len(added), n, added)
	}
	for _, name := range []string{"zq-user-", "zq-host-", "zq-agent-", "/public/1"} {
		w := httptest.NewRecorder()
		r.g.Operations().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if strings.Contains(w.Body.String(), name) {
			t.Errorf("%s is in the metrics", name)
		}
	}
}

func TestHealth(t *testing.T) {
	b := newBackend(t)
	r, demo := serveBehind(t, b), start(t)
	r.awaitReady()
	demo.awaitReady()
	for path, want := range map[string]string{"/livez": `{"status":"alive"}`, "/readyz": `{"status":"ready"}`} {
		if e := r.Call("GET", path, ""); e.StatusCode != http.StatusOK || e.Text != want {
			t.Errorf("%s: got %d %s", path, e.StatusCode, e.Text)
		}
		if e := r.Call("HEAD", path, ""); e.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, e.StatusCode)
		}
		if e := r.Call("POST", path, ""); e.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, e.StatusCode)
		}
	}
	if e := r.Call("GET", "/metrics", ""); e.StatusCode != http.StatusUnauthorized {
		t.Errorf("clients can read the metrics: %d", e.StatusCode)
	}
	// A route with exactly this path gets its requests; a wider one does not.
	if err := r.g.Update([]proxy.Route{{Path: "/livez", Upstreams: []string{b.URL}, Public: true}, {Path: "/", Upstreams: []string{b.URL}, Public: true}}); err != nil {
		t.Fatal(err)
	}
	if e := r.get("/livez"); !strings.Contains(e.Text, "GET /livez user=") {
		t.Errorf("got %d %s, want the answer of the upstream", e.StatusCode, e.Text)
	}
	if e := r.get("/readyz"); e.Text != `{"status":"ready"}` {
		t.Errorf("got %d %s, want that of the gateway", e.StatusCode, e.Text)
	}
	if e := demo.Call("GET", "/readyz", ""); e.StatusCode != http.StatusOK {
		t.Errorf("the demonstration: %d", e.StatusCode)
	}
}

// TestD1_NotReady checks that the gateway is not ready, but alive, before the
// store has answered for the first time and while it drains.
func TestD1_NotReady(t *testing.T) {
	b := newBackend(t)
	failing := &silentStore{Store: memory.New(store.Limits{})}
	r := serveBehind(t, b, func(c *Config) { c.Store = failing })
	r.Call("GET", "/readyz", "").WantProblem(t, 503, "store_unavailable", "not available")
	if e := r.Call("GET", "/livez", ""); e.StatusCode != http.StatusOK {
		t.Errorf("/livez: %d", e.StatusCode)
	}

	r = serveBehind(t, b)
	access, refresh := r.Login()
	conn := r.socket("/x", bearer(access))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	drained := make(chan error)
	go func() { drained <- r.g.guard.Drain(ctx) }()
	r.WantClose(conn, 1012, "restarting")
	if err := <-drained; err != nil {
		t.Error(err)
	}
	r.Call("GET", "/readyz", "").WantProblem(t, 503, "restarting", "restarting")
	if _, resp, err := r.DialPath("/x", nil, bearer(access)); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a socket while it drains: %v", err)
	}
	if e := r.get("/a", bearer(access)); e.StatusCode != http.StatusOK {
		t.Errorf("a plain request: %d", e.StatusCode)
	}
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
}

// A silentStore never answers a Read.
type silentStore struct{ *memory.Store }

func (*silentStore) Read(ctx context.Context, _ store.Cursor) (store.Page, error) {
	<-ctx.Done()
	return store.Page{}, ctx.Err()
}

package telemetry

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/relay"
	"wsauth/store"
)

// newRecorder returns a recorder that reports a fixed state.
func newRecorder() *Recorder {
	c := New(slog.New(slog.DiscardHandler), false)
	c.RegisterState(State{
		Upstreams:   func(yield func(route string, healthy, all int)) { yield("/", 1, 2) },
		Guard:       func() wsauth.Stats { return wsauth.Stats{Log: store.Usage{Entries: 3, Limit: 4}, Held: 5} },
		Connections: func() (open, limit int, refused uint64) { return 6, 7, 8 },
	})
	return c
}

// samples returns the samples of the metrics page, by name and labels.
func (c *Recorder) samples(t *testing.T) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	c.Handler(Health{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	all := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "wsauth_") {
			all[name] = value
		}
	}
	if len(all) == 0 {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	return all
}

// start starts the record of a handshake of a route.
func (c *Recorder) start(route *Route) *Record {
	x := c.Start(httptest.NewRequest(http.MethodGet, "/", nil), true)
	x.SetRoute(route)
	return x
}

// TestOperationsPage checks that docs/operations.md lists each metric with its
// labels, and no other.
func TestOperationsPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`wsauth_") {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			documented[strings.Trim(name, " `")] = strings.NewReplacer("`", "", " ", "").Replace(cells[2])
		}
	}
	c := newRecorder()
	route := c.AddRoute("/")
	x := c.start(route)
	x.Opened()
	x.Ended(nil, relay.Result{})
	route.request(http.StatusOK, time.Second)
	route.LongRequestStarted()
	route.LongRequestEnded("closed")
	route.UpstreamAnswered("http", time.Second)
	route.UpstreamFailed("bad_gateway")
	families, err := c.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "wsauth_") {
			continue
		}
		found++
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := strings.Split(documented[f.GetName()], ",")
		slices.Sort(want)
		if got := strings.Join(labels, ","); got != strings.Join(want, ",") {
			t.Errorf("%s has the labels %q, documented are %q", f.GetName(), got, want)
		}
	}
	if found != len(documented) || found == 0 {
		t.Errorf("%d metrics, %d documented", found, len(documented))
	}
}

// TestRemovedRoute checks that the series of a removed route are removed, and
// that the end of its sockets is not counted for a new route of that name.
func TestRemovedRoute(t *testing.T) {
	c := newRecorder()
	old := c.AddRoute("/a")
	x := c.start(old)
	x.Opened()
	if again := c.AddRoute("/a"); again != old {
		t.Error("a route that stays has lost its values")
	}
	c.RemoveRoute("/a")
	old.UpstreamFailed("bad_gateway")
	for name := range c.samples(t) {
		if strings.Contains(name, `"/a"`) {
			t.Errorf("%s is still there", name)
		}
	}
	c.start(c.AddRoute("/a")).Opened()
	x.Ended(nil, relay.Result{})
	old.LongRequestStarted()
	samples := c.samples(t)
	for name, want := range map[string]string{`wsauth_sockets{route="/a"}`: "1", `wsauth_long_requests{route="/a"}`: "0"} {
		if got := samples[name]; got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
}

// TestHandshakeOutcomes checks that each handshake has one outcome, the first.
func TestHandshakeOutcomes(t *testing.T) {
	for want, happens := range map[string]func(*Record){
		`outcome="opened",reason=""`:               func(x *Record) { x.Opened(); x.Declined(500) },
		`outcome="refused",reason="token_invalid"`: func(x *Record) { x.Refused(&wsauth.Error{Reason: wsauth.TokenInvalid}); x.HandlerReturned() },
		`outcome="refused",reason="404"`: func(x *Record) {
			w := &ResponseWriter{httptest.NewRecorder(), x}
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
			x.HandlerReturned()
		},
		`outcome="declined",reason="418"`:         func(x *Record) { x.Declined(http.StatusTeapot) },
		`outcome="ended",reason="session_ended"`:  func(x *Record) { x.Unanswered(&wsauth.EndError{Reason: wsauth.SessionEnded}) },
		`outcome="abandoned",reason=""`:           func(x *Record) { x.Unanswered(errors.New("reset")) },
		`outcome="abandoned",reason="" `:          func(x *Record) { x.Unanswered(&wsauth.EndError{Reason: "closed"}) },
		`outcome="refused",reason="none"`:         func(x *Record) { x.HandlerReturned() },
		`outcome="refused",reason="rate_limited"`: func(x *Record) { x.Refused(&wsauth.Error{Reason: wsauth.RateLimited}); x.Unanswered(nil) },
	} {
		c := newRecorder()
		happens(c.start(c.AddRoute("/")))
		found := 0
		for name, value := range c.samples(t) {
			if strings.HasPrefix(name, "wsauth_handshakes_total{") {
				found++
				if name != "wsauth_handshakes_total{"+strings.TrimSpace(want)+`,route="/"}` || value != "1" {
					t.Errorf("%s %s, want %s", name, value, want)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: %d outcomes", want, found)
		}
	}
}

// TestState checks the metrics that are read when they are requested.
func TestState(t *testing.T) {
	c := newRecorder()
	Observer{c}.Revoked([]store.Revocation{{Target: store.TargetSession}, {Target: store.TargetSession}}, 2, time.Second)
	samples := c.samples(t)
	for name, want := range map[string]string{
		`wsauth_upstreams{route="/"}`:                   "2",
		`wsauth_upstreams_healthy{route="/"}`:           "1",
		`wsauth_revocation_log_entries`:                 "3",
		`wsauth_revocation_log_limit`:                   "4",
		`wsauth_revocations_pending`:                    "5",
		`wsauth_connections`:                            "6",
		`wsauth_connections_limit`:                      "7",
		`wsauth_connections_refused_total`:              "8",
		`wsauth_log_lines_dropped_total{class="audit"}`: "0",
		`wsauth_log_refusals_suppressed_total`:          "0",
		`wsauth_revocations_total{target="session"}`:    "2",
		`wsauth_revocation_duration_seconds_count`:      "1",
	} {
		if got := samples[name]; got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
}

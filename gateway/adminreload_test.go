package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth/internal/adminapi"
)

// TestAdminReload: the answer has lists, never null, and a server without
// files, or one that stops, says so.
func TestAdminReload(t *testing.T) {
	r := start(t)
	post := func(c AdminConfig, body string) (int, string) {
		request := httptest.NewRequest(http.MethodPost, "/v1/reload", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.g.Admin(c).ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
	confirmed := false
	works := AdminConfig{Reload: func(_ context.Context, order adminapi.Reload) (adminapi.Reloaded, error) {
		confirmed = order.Confirm
		return adminapi.Reloaded{Errors: []string{"f"}}, nil
	}}
	for _, tt := range []struct {
		name, body string
		config     AdminConfig
		status     int
		want       string
		confirmed  bool
	}{
		{"plain", `{}`, works, 200, `{"changed":[],"warnings":[],"errors":["f"],"unconfirmed":[]}`, false},
		{"confirmed", `{"confirm":true}`, works, 200, `"errors":["f"]`, true},
		{"no truth", `{"confirm":1}`, works, 422, "confirm must be true or false", true},
		{"unknown", `{"force":true}`, works, 422, "not known", true},
		{"no body", ``, works, 400, "not valid JSON", true},
		{"no files", `{}`, AdminConfig{}, 404, "no files", true},
		{"stops", `{}`, AdminConfig{Reload: func(context.Context, adminapi.Reload) (adminapi.Reloaded, error) {
			return adminapi.Reloaded{}, errors.New("secret cause")
		}}, 503, "restarting", true},
	} {
		status, body := post(tt.config, tt.body)
		if status != tt.status || !strings.Contains(body, tt.want) || confirmed != tt.confirmed || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s, confirmed %v", tt.name, status, body, confirmed)
		}
	}
}

// TestRemoveRoutes: without routes only the gateway's own addresses answer,
// until there are others.
func TestRemoveRoutes(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b)
	access, _ := r.login()
	conn := r.socket("/chat", bearer(access))
	if err := r.g.RemoveRoutes(); err != nil {
		t.Fatal(err)
	}
	r.wantClose(conn, 1012, "restarting")
	if e := r.get("/public/a"); e.StatusCode != http.StatusNotFound {
		t.Errorf("a route that was removed: %d", e.StatusCode)
	}
	r.login()
	if err := r.g.Update([]Route{{Path: "/public/", Upstreams: []string{b.URL}, Public: true}}); err != nil {
		t.Fatal(err)
	}
	if e := r.get("/public/a"); e.StatusCode != http.StatusOK {
		t.Errorf("a route that was put back: %d", e.StatusCode)
	}
	if err := start(t).g.RemoveRoutes(); err == nil {
		t.Error("the demonstration has no routes to remove")
	}
}

package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/adminapi"
)

// TestDrain checks that the first drain ends the sockets, and that a second
// changes nothing.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		open := r.open(r.start("ada", "Phone"))
		if w := r.call(http.MethodPost, "/v1/drain", `{"within":5}`, jsonType); w.Code != http.StatusOK || w.Body.String() != `{"within":5,"sockets":1}` {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if open.reason() != wsauth.Restarting {
			t.Errorf("the socket has ended with %q", open.reason())
		}
		if status := get[adminapi.Status](r, "/v1/status"); status.Ready || status.Reason != "restarting" || status.Uptime != 5 {
			t.Errorf("got %+v", status)
		}
		if w := r.call(http.MethodPost, "/v1/drain", `{}`, jsonType); w.Code != http.StatusOK || w.Body.String() != `{"within":10,"sockets":0}` {
			t.Errorf("again: %d %s", w.Code, w.Body)
		}
		if got := strings.Count(r.log.String(), "admin: draining"); got != 1 {
			t.Errorf("%d lines in the log", got)
		}
	})
}

// TestReload checks that the answer has lists, never null, and that a server
// without files, or one that stops, says so.
func TestReload(t *testing.T) {
	confirmed := false
	works := func(_ context.Context, order adminapi.Reload) (adminapi.Reloaded, error) {
		confirmed = order.Confirm
		return adminapi.Reloaded{Errors: []string{"f"}}, nil
	}
	stops := func(context.Context, adminapi.Reload) (adminapi.Reloaded, error) {
		return adminapi.Reloaded{}, errors.New("secret cause")
	}
	for _, tt := range []struct {
		name, body string
		reload     func(context.Context, adminapi.Reload) (adminapi.Reloaded, error)
		status     int
		want       string
		confirmed  bool
	}{
		{"plain", `{}`, works, 200, `{"changed":[],"warnings":[],"errors":["f"],"unconfirmed":[]}`, false},
		{"confirmed", `{"confirm":true}`, works, 200, `"errors":["f"]`, true},
		{"no boolean", `{"confirm":1}`, works, 422, "confirm must be true or false", true},
		{"unknown member", `{"force":true}`, works, 422, "not known", true},
		{"no body", ``, works, 400, "not valid JSON", true},
		{"no files", `{}`, nil, 404, "no files", true},
		{"stops", `{}`, stops, 503, "restarting", true},
	} {
		r := newRig(t, func(c *Config) { c.Reload = tt.reload })
		w := r.call(http.MethodPost, "/v1/reload", tt.body, jsonType)
		if got := w.Body.String(); w.Code != tt.status || !strings.Contains(got, tt.want) || confirmed != tt.confirmed || strings.Contains(got, "secret") {
			t.Errorf("%s: %d %s, confirmed %v", tt.name, w.Code, got, confirmed)
		}
	}
}

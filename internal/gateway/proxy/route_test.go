package proxy

import (
	"reflect"
	"strings"
	"testing"

	"wsauth"
)

func TestRouteFaults(t *testing.T) {
	good := Route{Path: "/", Upstreams: []string{"http://127.0.0.1:9000"}}
	for want, change := range map[string]func(*Route){
		"Host:":              func(r *Route) { r.Host = "App.example" },
		"ports are not":      func(r *Route) { r.Host = "app.example:80" },
		"whole first label":  func(r *Route) { r.Host = "*.a*.example" },
		"Path:":              func(r *Route) { r.Path = "chat" },
		"not a plain path":   func(r *Route) { r.Path = "/a/../b" },
		"Upstreams:":         func(r *Route) { r.Upstreams = nil },
		"not one of http":    func(r *Route) { r.Upstreams = []string{"127.0.0.1:9000"} },
		"host and port":      func(r *Route) { r.Upstreams = []string{"http://127.0.0.1:9000/base"} },
		"has no query":       func(r *Route) { r.Upstreams = []string{"http://127.0.0.1:9000?key=secret"} },
		"absolute path":      func(r *Route) { r.Upstreams = []string{"unix:app.sock"} },
		"is listed twice":    func(r *Route) { r.Upstreams = append(r.Upstreams, r.Upstreams[0]) },
		"Public:":            func(r *Route) { r.Public, r.Scopes = true, []string{"x"} },
		"optional admits":    func(r *Route) { r.Requirement, r.Scopes = wsauth.Optional, []string{"x"} },
		"one of the four":    func(r *Route) { r.Requirement = 9 },
		`Claims["role"]`:     func(r *Route) { r.Claims = map[string][]string{"role": nil} },
		"treat it and":       func(r *Route) { r.Headers = map[string]string{"X-User": "sub", "X_User": "sid"} },
		"Assertion":          func(r *Route) { r.Headers, r.Assertion = map[string]string{"X-User": "sub"}, "X_USER" },
		"name of a claim":    func(r *Route) { r.Headers = map[string]string{"X-User": ""} },
		`["Cookie"]: cannot`: func(r *Route) { r.Headers = map[string]string{"Cookie": "sub"} },
		`tion"]: cannot`:     func(r *Route) { r.Headers = map[string]string{"Authorization": "sub"} },
		`Token"]: cannot`:    func(r *Route) { r.Headers = map[string]string{"X-CSRF-Token": "sub"} },
		`["Sec-X"]: cannot`:  func(r *Route) { r.Headers = map[string]string{"Sec-X": "sub"} },
		"Limits.Ping":        func(r *Route) { r.Limits.Ping = 1 },
		"Limits.Idle":        func(r *Route) { r.Limits.Idle = 1 },
		"Health.Path":        func(r *Route) { r.Health.Path = "x" },
		"Health.Every":       func(r *Route) { r.Health.Every = 1 },
		"Connect":            func(r *Route) { r.Connect = -1 },
	} {
		r := good
		change(&r)
		if _, err := r.withDefaults(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := good.withDefaults(); err != nil {
		t.Error(err)
	}
	for other, want := range map[string]string{"/Chat": "another route has the same host and path, /Chat", "/chat": "/chat differs from the route /Chat only in case"} {
		first, second := good, good
		first.Path, second.Path = "/Chat", other
		_, wrong := CheckRoutes([]Route{first, second}, OwnPaths{}, nil)
		if err := wrong.Join(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", other, err, want)
		}
	}
}

// TestExtractorPointers checks that a pointer to an extractor is treated like
// the extractor.
func TestExtractorPointers(t *testing.T) {
	cookies := wsauth.Cookies{Access: wsauth.CookieSpec{CSRFHeader: "X-Mine"}}
	given := []wsauth.Extractor{&cookies, &wsauth.Ticket{}, wsauth.Header{}}
	route := Route{Path: "/", Upstreams: []string{"http://127.0.0.1:9"}, Extractors: given}
	routes, wrong := CheckRoutes([]Route{route}, OwnPaths{}, nil)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	got := routes[0]
	if want := []wsauth.Extractor{cookies, wsauth.Ticket{}, wsauth.Header{}}; !reflect.DeepEqual(got.Extractors, want) {
		t.Errorf("%#v, want %#v", got.Extractors, want)
	}
	if given[0] != wsauth.Extractor(&cookies) {
		t.Error("the caller's list has changed")
	}
	if !got.takesTickets() || takesLong(got.Extractors[0]) || !strings.Contains(strings.Join(credentialHeaders(got.Extractors), " "), "X-Mine") {
		t.Error("pointers to extractors are not recognized")
	}
	route.Extractors, route.AnyOrigin = given[:1], true
	if _, wrong = CheckRoutes([]Route{route}, OwnPaths{}, nil); len(wrong) != 1 || !strings.Contains(wrong[0].Err.Error(), "accepts cookies") {
		t.Errorf("any origin with cookies: got %v, want one error", wrong)
	}
	var missing *wsauth.Cookies
	route.Extractors, route.AnyOrigin = []wsauth.Extractor{missing, nil}, false
	if _, wrong = CheckRoutes([]Route{route}, OwnPaths{}, nil); len(wrong) != 2 {
		t.Errorf("nil: got %v, want two errors", wrong)
	}
}

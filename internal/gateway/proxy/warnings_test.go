package proxy

import (
	"fmt"
	"strings"
	"testing"

	"wsauth"
)

// TestWarnings checks the warnings about routes that probably admit more
// clients than intended.
func TestWarnings(t *testing.T) {
	const at = "http://127.0.0.1:9000"
	public := func(path string, sockets bool, upstreams ...string) Route {
		return Route{Path: path, Upstreams: upstreams, Public: true, Sockets: sockets}
	}
	guarded := func(path string, upstreams ...string) Route { return Route{Path: path, Upstreams: upstreams} }
	with := func(r Route, scopes []string, claims map[string][]string) Route {
		r.Scopes, r.Claims = scopes, claims
		return r
	}
	for name, c := range map[string]struct {
		routes []Route
		want   []string // field, and a part of the text
	}{
		"none":                     {[]Route{public("/", false, at), guarded("/ws/", at)}, nil},
		"guarded alone":            {[]Route{guarded("/", at), guarded("/ws", at)}, nil},
		"sockets of another":       {[]Route{public("/", true, "http://127.0.0.1:9001"), guarded("/ws/", at)}, nil},
		"public alone":             {[]Route{public("/", true, at), public("/ws", true, at)}, nil},
		"shared":                   {[]Route{public("/", true, at), guarded("/ws/", at)}, []string{"Routes[0].Sockets: all clients can open sockets on " + at + ", which the route /ws/ guards"}},
		"shared by another path":   {[]Route{guarded("/ws/", at), public("/free", true, at)}, []string{"Routes[1].Sockets: all clients"}},
		"shared with another host": {[]Route{{Host: "app.example", Path: "/ws/", Upstreams: []string{at}}, public("/", true, at)}, []string{"Routes[0].Host", "Routes[1].Sockets: all clients can open sockets on " + at + ", which the route app.example/ws/ guards"}},
		"shared, one of several":   {[]Route{public("/", true, "http://a.example", at), guarded("/ws/", "http://b.example", at)}, []string{"Routes[0].Sockets"}},
		"shared, optional":         {[]Route{{Path: "/", Upstreams: []string{at}, Requirement: wsauth.Optional}, guarded("/ws/", at)}, []string{"Routes[0].Requirement: clients without a token can open sockets on " + at}},
		"shared, other scopes": {[]Route{with(guarded("/a", at), []string{"a"}, nil), with(guarded("/b", at), []string{"b"}, nil)},
			[]string{"Routes[0]: clients that this route admits can open sockets on " + at + ", which the route /b guards with other rules", "Routes[1]: clients"}},
		"shared, more scopes":  {[]Route{with(guarded("/a", at), []string{"a"}, nil), with(guarded("/b", at), []string{"b", "a"}, nil)}, []string{"Routes[0]: clients"}},
		"shared, same scopes":  {[]Route{with(guarded("/a", at), []string{"a", "b"}, nil), with(guarded("/b", at), []string{"b", "a"}, nil)}, nil},
		"shared, a claim":      {[]Route{guarded("/a", at), with(guarded("/b", at), nil, map[string][]string{"role": {"x"}})}, []string{"Routes[0]: clients"}},
		"shared, fewer values": {[]Route{with(guarded("/a", at), nil, map[string][]string{"role": {"x"}}), with(guarded("/b", at), nil, map[string][]string{"role": {"y", "x"}})}, []string{"Routes[1]: clients"}},
		"shared, fresh":        {[]Route{guarded("/a", at), {Path: "/b", Upstreams: []string{at}, Requirement: wsauth.Fresh}}, []string{"Routes[0]: clients"}},
		"shared, refresh":      {[]Route{guarded("/a", at), {Path: "/b", Upstreams: []string{at}, Requirement: wsauth.Refresh}}, []string{"Routes[0]: clients", "Routes[1]: clients"}},
		"other scopes apart":   {[]Route{guarded("/a", at), with(guarded("/b", "http://127.0.0.1:9001"), []string{"b"}, nil)}, nil},
		"optional alone":       {[]Route{{Path: "/", Upstreams: []string{at}, Requirement: wsauth.Optional}, public("/ws/", false, at)}, nil},
		"below":                {[]Route{public("/", false, at), guarded("/ws", at)}, []string{"Routes[1].Path: everything below /ws is public by the route /: "}},
		"below, deep":          {[]Route{guarded("/", at), public("/a/", false, at), guarded("/a/b", at)}, []string{"Routes[2].Path: everything below /a/b is public by the route /a/: "}},
		"below, optional":      {[]Route{{Path: "/", Upstreams: []string{at}, Requirement: wsauth.Optional}, guarded("/ws", at)}, []string{"Routes[0].Requirement", "Routes[1].Path"}},
		"below, guarded":       {[]Route{public("/", false, at), guarded("/ws", at), guarded("/ws/", at)}, nil},
		"below, of another":    {[]Route{public("/", false, "http://127.0.0.1:9001"), guarded("/ws", at)}, nil},
		"below, of a host":     {[]Route{public("/", false, at), {Host: "*.app.example", Path: "/ws", Upstreams: []string{at}}}, []string{"Routes[1].Path", "Routes[1].Host"}},
		"by any host":          {[]Route{public("/", false, at), {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, []string{"Routes[1].Host: clients can send any host: with one that no route names they reach " + at + " at this path through the route /, "}},
		"by a host below":      {[]Route{{Host: "*.example", Path: "/", Public: true, Upstreams: []string{at}}, {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, []string{"Routes[1].Host: clients can send any host: with another one below example they reach " + at + " at this path through the route *.example/, "}},
		"by hosts below":       {[]Route{{Host: "*.example", Path: "/", Public: true, Upstreams: []string{at}}, {Host: "*.app.example", Path: "/admin/", Upstreams: []string{at}}}, []string{"Routes[1].Host"}},
		"by hosts above":       {[]Route{{Host: "b.app.example", Path: "/", Public: true, Upstreams: []string{at}}, {Host: "*.app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"by hosts of others":   {[]Route{{Host: "*.other.example", Path: "/", Public: true, Upstreams: []string{at}}, {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"by a host, guarded":   {[]Route{{Host: "*.example", Path: "/", Upstreams: []string{at}}, {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"by any host, weaker":  {[]Route{guarded("/", at), with(Route{Host: "app.example", Path: "/admin/", Upstreams: []string{at}}, []string{"x"}, nil)}, []string{"Routes[0]: clients", "Routes[1].Host"}},
		"by any host, exact":   {[]Route{public("/a", false, at), {Host: "app.example", Path: "/a", Upstreams: []string{at}}}, []string{"Routes[1].Host", "Routes[1].Path"}},
		"by any host, alike":   {[]Route{guarded("/", at), {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"by any host, guarded": {[]Route{public("/", false, at), guarded("/admin/", at), {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"by any host, apart":   {[]Route{public("/", false, "http://127.0.0.1:9001"), {Host: "app.example", Path: "/admin/", Upstreams: []string{at}}}, nil},
		"below, hosts apart":   {[]Route{{Host: "www.example", Path: "/", Upstreams: []string{at}, Public: true}, {Host: "app.example", Path: "/ws", Upstreams: []string{at}}}, nil},
		"twins":                {[]Route{guarded("/a", at), public("/a/", false, at)}, []string{"Routes[1].Path: many servers treat /a/ and the route /a as the same path, but their rules differ"}},
		"twins, guarded":       {[]Route{guarded("/a/", at), {Path: "/a", Upstreams: []string{at}, Scopes: []string{"x"}}}, []string{"Routes[0]: clients", "Routes[1].Path"}},
		"twins in capitals":    {[]Route{guarded("/A/", at), public("/a", false, at)}, []string{"Routes[1].Path"}},
		"twins alike":          {[]Route{guarded("/a/", at), guarded("/a", at)}, nil},
		"twins apart":          {[]Route{guarded("/a", at), public("/a/", false, "http://127.0.0.1:9001")}, nil},
		"twins of a host":      {[]Route{public("/a", false, at), {Host: "app.example", Path: "/a/", Upstreams: []string{at}}}, []string{"Routes[1].Path"}},
		"twins of hosts":       {[]Route{{Host: "*.example", Path: "/a", Upstreams: []string{at}, Public: true}, {Host: "app.example", Path: "/a/", Upstreams: []string{at}}}, []string{"Routes[1].Path"}},
		"twins of hosts apart": {[]Route{{Host: "a.example", Path: "/a", Upstreams: []string{at}, Public: true}, {Host: "*.b.example", Path: "/a/", Upstreams: []string{at}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := warningsOf(c.routes, Site{})
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}

// warningsOf returns the warnings as "FIELD: TEXT".
func warningsOf(routes []Route, site Site) (all []string) {
	for _, f := range Warnings(routes, site) {
		all = append(all, fmt.Sprintf("%s: %v", f.Field, f.Err))
	}
	return all
}

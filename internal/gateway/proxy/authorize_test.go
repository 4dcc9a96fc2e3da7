package proxy

import (
	"strings"
	"testing"
)

// TestClaimsOfARoute: a client without the required role or scope is refused.
func TestClaimsOfARoute(t *testing.T) {
	p := &proxy{routes: &Routes{}, route: Route{Scopes: []string{"chat:read", "chat:write"}, Claims: map[string][]string{"realm.roles": {"admin", "ops"}}}}
	for name, c := range map[string]struct {
		extra map[string]any
		why   string // of a refusal
	}{
		"all":               {map[string]any{"scope": "x chat:write chat:read", "realm": map[string]any{"roles": []string{"user", "ops"}}}, ""},
		"scp":               {map[string]any{"scp": []string{"chat:write", "chat:read"}, "realm": map[string]any{"roles": "admin"}}, ""},
		"one scope":         {map[string]any{"scope": "chat:write", "realm": map[string]any{"roles": "admin"}}, "no scope"},
		"a prefix":          {map[string]any{"scope": "chat:write chat:rea", "realm": map[string]any{"roles": "admin"}}, "no scope"},
		"another role":      {map[string]any{"scope": "chat:write chat:read", "realm": map[string]any{"roles": []string{"administrator"}}}, "none of those"},
		"no role":           {map[string]any{"scope": "chat:write chat:read"}, "realm.roles"},
		"a role elsewhere":  {map[string]any{"scope": "chat:write chat:read", "roles": "admin"}, "realm.roles"},
		"role as an object": {map[string]any{"scope": "chat:write chat:read", "realm": map[string]any{"roles": map[string]any{"admin": true}}}, "realm.roles"},
		"nothing":           {nil, "no scope"},
	} {
		err := p.authorize(nil, claimsWith(t, "ada", c.extra))
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"wsauth/idp"
	"wsauth/internal/idptest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

type object = map[string]any

// manyRoles returns roles that add at least n bytes to a token.
func manyRoles(n int) []string {
	var all []string
	for size := 0; size < n; {
		role := fmt.Sprintf("application-role-%04d", len(all))
		all, size = append(all, role), size+len(role)+3
	}
	return all
}

// TestTokensOfRealProviders checks that unusual tokens of real providers are
// accepted, by default or with a setting, and that without the setting the log
// names it.
func TestTokensOfRealProviders(t *testing.T) {
	const zitadel = "urn:zitadel:iam:org:project:roles"
	for name, tt := range map[string]struct {
		keys           func(p *idptest.Provider)
		header, claims object // nil: omitted
		setting        func(c *idp.Config)
		named          string // the setting, as in the log; "" if none is needed
		status         int    // without the setting; 0 for 401
	}{
		"jku":            {header: object{"jku": "https://evil.example/keys"}},
		"x5u, x5c, x5t":  {header: object{"x5u": "https://evil.example/", "x5c": []string{"MIIB"}, "x5t": "AAAA", "x5t#S256": "AAAA"}},
		"roles null":     {claims: object{"roles": nil}},
		"roles empty":    {claims: object{"roles": ""}},
		"scope null":     {claims: object{"scope": nullValue}},
		"roles are null": {claims: object{"roles": nullValue}},
		"sid empty":      {claims: object{"sid": ""}},
		"sid null":       {claims: object{"sid": nullValue}},
		"jti empty":      {claims: object{"jti": ""}},
		"a key twice":    {keys: func(p *idptest.Provider) { p.Publish(p.JWK("key-1"), p.JWK("key-1")) }},
		"RS256 and PS256 under one kid": {keys: func(p *idptest.Provider) {
			p.Rotate("rsa", "RS256")
			p.Rotate("rsa", "PS256")
		}},
		"PS256 and RS256 under one kid": {keys: func(p *idptest.Provider) {
			p.Rotate("rsa", "PS256")
			p.Rotate("rsa", "RS256")
		}},
		"alg Ed25519": {keys: func(p *idptest.Provider) {
			p.Rotate("ed", "EdDSA")
			p.Change("ed", object{"alg": "Ed25519"})
		}, header: object{"alg": "Ed25519"}},
		"alg Ed25519 of a key for EdDSA": {keys: func(p *idptest.Provider) { p.Rotate("ed", "EdDSA") }, header: object{"alg": "Ed25519"}},
		"RSA key without alg": {keys: func(p *idptest.Provider) {
			p.Rotate("rsa", "RS256")
			p.Change("rsa", object{"alg": nil})
		}},
		"RSA key without alg, PS256": {keys: func(p *idptest.Provider) {
			p.Rotate("rsa", "PS256")
			p.Change("rsa", object{"alg": nil})
		}, setting: func(c *idp.Config) { c.Algorithms = []token.Algorithm{token.PS256} }, named: "algorithms"},
		"no aud":      {claims: object{"aud": nil, "azp": "web"}, setting: party, named: "insecure_authorized_party"},
		"aud ignored": {claims: object{"aud": "account", "azp": "web"}, setting: party, named: "aud does not name us"},
		"over 8 KiB": {claims: object{"roles": manyRoles(8 << 10)},
			setting: func(c *idp.Config) { c.MaxTokenBytes = 16 << 10 }, named: "max_token"},
		"over 24 KiB": {claims: object{"roles": manyRoles(18 << 10)},
			setting: func(c *idp.Config) { c.MaxTokenBytes = 32 << 10 }, named: "max_token"},
		"a week": {claims: object{"exp": time.Now().Add(7 * 24 * time.Hour).Unix()},
			setting: func(c *idp.Config) { c.MaxLifetime = 8 * 24 * time.Hour }, named: "max_lifetime"},
		"roles are an object": {claims: object{zitadel: object{"admin": object{"1": "a.example"}}},
			setting: func(c *idp.Config) { c.Roles, c.RoleKeys = zitadel, true }},
		"roles are an object, unset": {claims: object{"roles": object{"admin": true}},
			setting: func(c *idp.Config) { c.RoleKeys = true }, named: "role_keys"},
	} {
		t.Run(name, func(t *testing.T) {
			p := idptest.New(t)
			if tt.keys != nil {
				tt.keys(p)
			}
			access := func() string {
				now := time.Now().Unix()
				claims := object{"sub": "ada", "sid": "s", "aud": "chat", "client_id": "shop", "jti": "j", "iat": now, "exp": now + 300}
				return p.Sign(join(object{"typ": "at+jwt"}, tt.header), join(claims, tt.claims))
			}
			for _, set := range []bool{true, false} {
				if !set && tt.named == "" {
					continue
				}
				r := start(t, func(c *Config) {
					of := idp.Config{Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp"}
					if set && tt.setting != nil {
						tt.setting(&of)
					}
					c.Tokens.Providers = []*idp.Provider{must(idp.New(of))}
				})
				raw := access()
				e := r.Call("GET", "/auth/session", "", bearer(raw))
				if !set {
					if e.StatusCode != 401 || !strings.Contains(r.log.String(), tt.named) {
						t.Errorf("without the setting: %d %s, and the log does not name %s: %s", e.StatusCode, e.Text, tt.named, r.log.String())
					}
					continue
				}
				if e.StatusCode != 200 {
					t.Fatalf("got %d %s: %s, want %v", e.StatusCode, e.Text, r.log.String(), 200)
				}
				r.wantOpen(r.openEcho(raw))
				ticket := r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(raw))
				if ticket.StatusCode != 200 {
					t.Errorf("ticket: %d %s", ticket.StatusCode, ticket.Text)
				}
			}
		})
	}
}

// nullValue is the value of a claim that is present and null.
var nullValue = rawNull{}

type rawNull struct{}

func (rawNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func party(c *idp.Config) {
	c.InsecureAuthorizedParty, c.IgnoredAudiences = []string{"web"}, []string{"account"}
}

func join(base, changes object) object {
	all := maps.Clone(base)
	for name, v := range changes {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	return all
}

// TestRoomForLongTokens checks that a larger limit of tokens also raises the
// limit of header fields, by a third more, since a subprotocol may carry a
// token in base64.
func TestRoomForLongTokens(t *testing.T) {
	for _, tt := range []struct{ setting, room int }{{0, 32 << 10}, {8 << 10, 32 << 10}, {4 << 10, 32 << 10}, {32 << 10, 64 << 10}} {
		p := idptest.New(t)
		r := start(t, func(c *Config) {
			c.Tokens.Providers = []*idp.Provider{must(idp.New(idp.Config{Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", MaxTokenBytes: tt.setting}))}
		})
		raw := p.AccessToken("ada", "s", map[string]any{"roles": manyRoles(min(tt.room-32<<10, 18<<10))})
		for spare, want := range map[int]int{1 << 10: 200, -1 << 10: 431} {
			pad := strings.Repeat("x", tt.room-len(raw)-spare)
			if e := r.Call("GET", "/auth/session", "", bearer(raw), "X-Pad: "+pad); e.StatusCode != want {
				t.Errorf("max_token %d, %d bytes left: %d %s", tt.setting, spare, e.StatusCode, e.Text)
			}
		}
	}
}

// TestSocketsOfAnotherSubject checks that if users are named by their email, a
// logout token that has only the sub ends their sockets, those of tickets too,
// and no others.
func TestSocketsOfAnotherSubject(t *testing.T) {
	p := idptest.New(t)
	r := start(t, func(c *Config) {
		c.Tokens.Providers = []*idp.Provider{must(idp.New(idp.Config{Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", Subject: "email"}))}
	})
	access := func(sub, email string) string {
		return p.AccessToken(sub, "s-"+sub, map[string]any{"email": email, "email_verified": true})
	}
	ada, bob := access("248", "ada@x.example"), access("249", "bob@x.example")
	if e := r.Call("GET", "/auth/session", "", bearer(ada)); e.Decode(t)["sub"] != "idp|ada@x.example" {
		t.Errorf("got %d %s", e.StatusCode, e.Text)
	}
	r.Call("GET", "/auth/session", "", bearer(unverified(p))).WantProblem(t, 401, "token_invalid", "")
	byTicket := r.Open("?ticket=" + r.Ticket(ada))
	if _, err := r.Read(byTicket); err != nil {
		t.Fatal(err)
	}
	waiting := r.Ticket(ada)
	conn, bobConn := r.openEcho(ada), r.openEcho(bob)
	now := time.Now().Unix()
	form := url.Values{"logout_token": {p.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
		"sub": "248", "aud": "chat", "jti": "logout", "iat": now, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})}}.Encode()
	if e := r.Call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 200 {
		t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, 200)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.WantClose(byTicket, 3000, "session_ended")
	r.WantClose(r.Open("?ticket="+waiting), 3000, "token_revoked")
	r.Call("GET", "/auth/session", "", bearer(ada)).WantEnded(t)
	r.wantOpen(bobConn)
}

// unverified returns a token with an unverified email address.
func unverified(p *idptest.Provider) string {
	return p.AccessToken("250", "s", map[string]any{"email": "ada@x.example", "email_verified": false})
}

// TestTicketForManyRoles checks that a token with 250 roles, which is close to
// the longest allowed, gets a ticket that opens a socket.
func TestTicketForManyRoles(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	raw := p.AccessToken("ada", "s", map[string]any{"roles": manyRoles(250 * 22)})
	if len(raw) < 7500 || len(raw) > 8<<10 {
		t.Fatalf("the token has %d bytes", len(raw))
	}
	conn := r.Open("?ticket=" + r.Ticket(raw))
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
	r.wantOpen(conn)
}

// A tightStore is a store for which every ticket is too long.
type tightStore struct{ store.Store }

func (tightStore) PutTicket(context.Context, store.TicketKey, []byte, time.Time) error {
	return fmt.Errorf("%w: too long", store.ErrInvalid)
}

// TestTicketThatCannotBeStored checks that a ticket that can never be stored is
// refused with 422, without Retry-After.
func TestTicketThatCannotBeStored(t *testing.T) {
	r := start(t, func(c *Config) { c.Store = tightStore{memory.New(store.Limits{})} })
	access, _ := r.Login()
	e := r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
	e.WantProblem(t, 422, "invalid_request", "")
	if e.Header.Get("Retry-After") != "" {
		t.Error("the answer has Retry-After")
	}
}

// TestGoogleServiceAccountOfAStranger checks that our client ID as the audience
// does not suffice: any service account can request a token with it.
func TestGoogleServiceAccountOfAStranger(t *testing.T) {
	p := idptest.New(t)
	p.Rotate("google", "RS256")
	r := start(t, func(c *Config) {
		c.Tokens.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Google, Issuer: p.Issuer(), Audience: []string{"web"}, Namespace: "google", HostedDomains: []string{"shop.example"},
		}))}
	})
	now := time.Now().Unix()
	for name, tt := range map[string]struct {
		azp, hd any
		want    int
	}{
		"ours": {"web", "shop.example", 200}, "a service account": {"107517467455664443765", nil, 401}, "one that says hd": {"107517467455664443765", "shop.example", 401},
		"a stranger": {"web", nil, 401}, "of another organization": {"web", "evil.example", 401},
	} {
		raw := p.Sign(object{"typ": "JWT"}, join(object{"sub": "1", "aud": "web", "iat": now, "exp": now + 300}, object{"azp": tt.azp, "hd": tt.hd}))
		if e := r.Call("GET", "/auth/session", "", bearer(raw)); e.StatusCode != tt.want {
			t.Errorf("%s: got %d %s, want %v", name, e.StatusCode, e.Text, tt.want)
		}
	}
}

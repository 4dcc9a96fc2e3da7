// Provider simulates an identity provider. It has the endpoints of a Keycloak
// realm and issues tokens of the same format, but without logins. Anyone who
// can reach it can get a token, so it listens only on this machine.
//
//	go run ./examples/provider
//	go run ./cmd/wsauth serve --provider preset=keycloak,issuer=http://127.0.0.1:8180/realms/demo,audience=chat
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/store"
	"wsauth/token"
)

const (
	realm    = "/realms/demo"
	audience = "chat"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8180", "`address` to listen on")
	logout := flag.String("logout-url", "http://127.0.0.1:8000/auth/backchannel-logout", "`URL` that logout tokens are sent to")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	p, err := newProvider(base+realm, *logout)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("issuer:          %s%s\n", base, realm)
	fmt.Printf("a token of ada:  curl '%s/token?user=ada'\n", base)
	fmt.Printf("log her out:     curl -X POST '%s/logout?user=ada'\n", base)
	server := &http.Server{Handler: p.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	log.Fatal(server.Serve(listener))
}

// A provider has one key, and one session per user.
type provider struct {
	issuer string
	logout string
	keys   *token.KeySet
	tokens *token.Issuer
	client *http.Client
}

func newProvider(issuer, logout string) (*provider, error) {
	key, err := token.GenerateKey(token.RS256)
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	tokens, err := token.NewIssuer(token.IssuerConfig{Key: key, Issuer: issuer, AccessTTL: 5 * time.Minute})
	if err != nil {
		return nil, err
	}
	return &provider{issuer, logout, keys, tokens, &http.Client{Timeout: 5 * time.Second}}, nil
}

func (p *provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+realm+"/.well-known/openid-configuration", p.discover)
	mux.HandleFunc("GET "+realm+"/protocol/openid-connect/certs", p.certs)
	mux.HandleFunc("GET /token", p.token)
	mux.HandleFunc("POST /logout", p.endSession)
	return mux
}

// discover returns the URL of the keys (OpenID Connect Discovery 1.0 section
// 4).
func (p *provider) discover(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, map[string]any{"issuer": p.issuer, "jwks_uri": p.issuer + "/protocol/openid-connect/certs"}, json.Deterministic(true))
}

func (p *provider) certs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(p.keys.PublicJWKS())
}

// token issues an access token for a user, in Keycloak's format.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	t, err := p.tokens.Access(user, token.Options{Audience: []string{audience}, SessionID: session(user), Claims: map[string]any{
		"typ": "Bearer", "azp": "web", "scope": "openid profile", "preferred_username": user, "realm_access": map[string]any{"roles": []string{"member"}},
	}})
	if err != nil {
		http.Error(w, "name a user: /token?user=ada", http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, t.Raw)
}

// endSession sends a logout token (OpenID Connect Back-Channel Logout 1.0).
func (p *provider) endSession(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	t, err := p.tokens.Access(user, token.Options{Audience: []string{audience}, SessionID: session(user), TTL: 2 * time.Minute, Claims: map[string]any{
		"typ": "Logout", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}})
	if err != nil {
		http.Error(w, "name a user: /logout?user=ada", http.StatusBadRequest)
		return
	}
	status, err := p.send(r.Context(), t.Raw)
	if err != nil {
		http.Error(w, "cannot send the logout token to "+p.logout, http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, p.logout, "answers", status)
}

func (p *provider) send(ctx context.Context, raw string) (string, error) {
	form := url.Values{"logout_token": {raw}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.logout, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.client.Do(request)
	if err != nil {
		return "", err
	}
	return response.Status, response.Body.Close()
}

// started distinguishes the sessions of this run from those of earlier runs.
var started = store.NewSessionID(time.Now())

// session returns the ID of a user's only session.
func session(user string) string { return started + "-" + user }

package gateway

import (
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

func TestNewReportsEveryError(t *testing.T) {
	_, err := New(Config{Login: login.Config{AccessTTL: time.Millisecond, RefreshTTL: time.Microsecond, SessionTTL: time.Nanosecond, RefreshGrace: time.Hour, RefreshRetry: 25 * time.Hour, TicketBurst: -1, TicketRate: login.MaxTicketRate + 1}, Origins: []string{"https://app.example", "*"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Config.Login.Keys", "Config.Login.Users", "Config.Login.AccessTTL", "Config.Login.RefreshTTL", "Config.Login.SessionTTL", "Config.Login.RefreshGrace", "Config.Login.RefreshRetry", "Config.Login.TicketBurst", "Config.Login.TicketRate", "Config.Login.Origins[1]"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(public))}, Login: login.Config{Users: demo.Users{}}}); err == nil || !strings.Contains(err.Error(), "cannot sign") {
		t.Errorf("a public key: %v", err)
	}
	for _, c := range []Config{
		{Login: login.Config{RefreshTTL: login.MaxTTL, SessionTTL: login.MaxSessionTTL, RefreshGrace: login.MaxRefreshGrace, RefreshRetry: login.MaxRefreshRetry}},
		{Login: login.Config{RefreshTTL: login.MaxTTL}}, // longer than the default of SessionTTL
		{Login: login.Config{RefreshGrace: -time.Hour, RefreshRetry: -time.Hour}, Limits: wsauth.Limits{PerSubject: -1}},
	} {
		c.Tokens.Keys, c.Login.Users = must(token.NewKeySet(key)), demo.Users{}
		g, err := New(c)
		if err != nil {
			t.Errorf("the longest lives: %v", err)
			continue
		}
		stop(t, g)
	}
	if _, err := New(Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Login: login.Config{Users: demo.Users{}, RefreshTTL: login.MaxTTL + time.Second}}); err == nil || !strings.Contains(err.Error(), "Config.Login.RefreshTTL") {
		t.Errorf("a longer life: %v", err)
	}
}

// stop shuts down a gateway that does not serve.
func stop(t *testing.T, g *Gateway) {
	t.Helper()
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

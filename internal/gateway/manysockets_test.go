package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"wsauth/internal/gateway/front"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestManySocketsComeBack checks that thirty sockets of one login, opened by
// the browser module, reconnect soon after a restart of the gateway.
func TestManySocketsComeBack(t *testing.T) {
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	keys, sessions := must(token.NewKeySet(must(token.GenerateKey(token.HS256)))), memory.New(store.Limits{})
	shareState := func(c *Config) { c.Tokens.Keys, c.Store = keys, sessions }
	first := serve(t, l, "http://"+addr, &http.Transport{}, []func(*Config){shareState})
	opened, page := runScript(t, "node", "many.mjs", "node_modules/ws", "http://"+addr)
	wantLine := func(format string, into ...any) {
		t.Helper()
		select {
		case line := <-page:
			if n, err := fmt.Sscanf(line, format, into...); n != len(into) || err != nil {
				t.Fatalf("the page says %q", line)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the page does not say %q: %s", format, first.log)
		}
	}
	if opened != "open" {
		t.Fatalf("the page says %q", opened)
	}
	first.stop()
	wantLine("ended")
	if err := <-first.served; err != nil {
		t.Fatal(err)
	}
	l, err = front.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	second := serve(t, l, "http://"+addr, &http.Transport{}, []func(*Config){shareState})
	var took, code int
	wantLine("back %d %d", &took, &code)
	t.Logf("all are back after %d ms, closed with %d", took, code)
	if took > 10_000 || code != 1012 {
		t.Errorf("back after %d ms, closed with %d", took, code)
	}
	if n := second.g.guard.Stats().Sockets; n != 30 {
		t.Errorf("%d sockets are open", n)
	}
}

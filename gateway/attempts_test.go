package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"wsauth/internal/password"
)

// One client of IPv6 has a /64, and so 2^64 addresses; its neighbours have others.
func TestR3_LoginIsLimitedByNetwork(t *testing.T) {
	r := start(t)
	try := func(addr string, i int) int {
		body := fmt.Sprintf(`{"username":"n%s%d","password":"wrong"}`, addr, i)
		req := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(body))
		req.RemoteAddr = addr
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.g.ServeHTTP(w, req)
		return w.Code
	}
	statuses := map[int]int{}
	for i := range 25 {
		statuses[try(fmt.Sprintf("[2001:db8:1:2:%x::1]:80", i), i)]++
	}
	if statuses[401] != 20 || statuses[429] != 5 {
		t.Errorf("statuses %v of one /64, want 20 times 401 and 5 times 429", statuses)
	}
	if got := try("[2001:db8:1:3::1]:80", 0); got != 401 {
		t.Errorf("the next /64 gets %d", got)
	}
}

// A stranger who tries a name does not lock its user out, who comes from elsewhere; and many strangers together do not try it for
// ever.
func TestR3_StrangersLockNobodyOut(t *testing.T) {
	a := newAttempts()
	now := time.Now()
	tries := func(addr string) int {
		for n := 0; ; n++ {
			attempt, wait := a.begin(addr, "name anna", now)
			if wait > 0 {
				return n
			}
			attempt.Spend(now)
		}
	}
	if n := tries("192.0.2.1:1"); n != 10 {
		t.Errorf("a stranger has %d tries", n)
	}
	own, wait := a.begin("198.51.100.1:1", "name anna", now)
	if wait > 0 {
		t.Fatalf("the user waits for %v", wait)
	}
	own.GiveBack()
	all := 10
	for i := range 50 {
		all += tries(fmt.Sprintf("203.0.113.%d:1", i))
	}
	if all != 100 {
		t.Errorf("many strangers have %d tries", all)
	}
}

// TestRefusedLoginsCostNothing: 20 right logins are under way and one more is
// refused; then the 20 succeed, and as many are free as before. So it is where
// one limiter refuses and the others would not have.
func TestRefusedLoginsCostNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		login := func(name, password string) int {
			body := fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)
			req := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(body))
			req.RemoteAddr = "192.0.2.1:80"
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			r.g.ServeHTTP(w, req)
			return w.Code
		}
		for round := range 3 {
			var logins sync.WaitGroup
			for i := range 20 {
				logins.Go(func() {
					if code := login(fmt.Sprint("user", i), "test"); code != http.StatusOK {
						t.Errorf("round %d: login %d is %d", round, i, code)
					}
				})
			}
			time.Sleep(time.Second / 2) // all are under way
			if code := login("another", "test"); code != http.StatusTooManyRequests {
				t.Errorf("round %d: one too many is %d", round, code)
			}
			logins.Wait()
		}
		for i := range 30 { // the name refuses, and the address gives nothing for it
			if code := login("anna", "wrong"); (code == http.StatusTooManyRequests) != (i >= 10) {
				t.Errorf("wrong password %d is %d", i, code)
			}
		}
		for i := range 4 { // 20 of the address, less 10, and some that came back
			if code := login(fmt.Sprint("other", i), "wrong"); code != http.StatusUnauthorized {
				t.Errorf("another name %d is %d", i, code)
			}
		}
	}, func(c *Config) {
		c.Authenticate = func(_ context.Context, _, password string) (bool, error) {
			if password == "test" {
				time.Sleep(time.Second)
			}
			return password == "test", nil
		}
	})
}

// A name that is not known takes as long as one that is, also beside other work.
func TestR3_UnknownUserTakesTheSameTime(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 5)
	if err != nil {
		t.Fatal(err)
	}
	h, err := password.Parse(string(hash))
	if err != nil {
		t.Fatal(err)
	}
	list, err := password.NewList([]password.User{{Name: "anna", Hash: h}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := password.WriteFile(path, list); err != nil {
		t.Fatal(err)
	}
	users, err := OpenUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	var known, unknown []time.Duration
	for i := range 21 {
		for name, times := range map[string]*[]time.Duration{"anna": &known, fmt.Sprint("nobody", i): &unknown} {
			begun := time.Now()
			if ok, err := users.Authenticate(t.Context(), name, "wrong"); ok || err != nil {
				t.Fatal(ok, err)
			}
			*times = append(*times, time.Since(begun))
		}
	}
	slices.Sort(known)
	slices.Sort(unknown)
	if a, b := known[0], unknown[0]; a > 2*b || b > 2*a { // the least, which other work of the machine is not in
		t.Errorf("a known name takes %v, an unknown one %v", a, b)
	}
}

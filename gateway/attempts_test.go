package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
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
			if _, wait := a.begin(addr, "name anna", now); wait > 0 {
				return n
			}
		}
	}
	if n := tries("192.0.2.1:1"); n != 10 {
		t.Errorf("a stranger has %d tries", n)
	}
	own, wait := a.begin("198.51.100.1:1", "name anna", now)
	if wait > 0 {
		t.Fatalf("the user waits for %v", wait)
	}
	own.succeeded()
	all := 10
	for i := range 50 {
		all += tries(fmt.Sprintf("203.0.113.%d:1", i))
	}
	if all != 100 {
		t.Errorf("many strangers have %d tries", all)
	}
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

package login

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"wsauth/internal/password"
)

// TestR3_LoginIsLimitedByNetwork checks that the limit of an IPv6 client
// applies to its /64, which has 2^64 addresses, and not to its neighbours.
func TestR3_LoginIsLimitedByNetwork(t *testing.T) {
	r := start(t)
	try := func(addr string, i int) int {
		body := fmt.Sprintf(`{"username":"n%s%d","password":"wrong"}`, addr, i)
		req := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(body))
		req.RemoteAddr = addr
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.s.ServeHTTP(w, req)
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

// failures makes attempts of c fail until one is not allowed, and returns their
// number.
func failures(a *attempts, c caller, now time.Time) int {
	for n := 0; ; n++ {
		attempt, wait := a.begin(c, now)
		if wait > 0 {
			return n
		}
		attempt.failed(now)
	}
}

// logIn makes a login of c succeed. If it is not allowed, logIn returns how
// long to wait.
func logIn(a *attempts, c caller, now time.Time) time.Duration {
	attempt, wait := a.begin(c, now)
	if wait == 0 {
		a.succeeded(attempt, c, now)
	}
	return wait
}

// TestR3_UnknownClientsLockNoUserOut checks that an unknown client that tries a
// name does not lock out its user, who logs in from another network. Many such
// clients together have a limited number of attempts.
func TestR3_UnknownClientsLockNoUserOut(t *testing.T) {
	a := newAttempts(0)
	now := time.Now()
	tries := func(addr string) int { return failures(a, newCaller(addr, "anna", ""), now) }
	if n := tries("192.0.2.1:1"); n != 10 {
		t.Errorf("a stranger has %d tries", n)
	}
	if wait := logIn(a, newCaller("198.51.100.1:1", "anna", ""), now); wait > 0 {
		t.Fatalf("the user waits for %v", wait)
	}
	all := 10
	for i := range 50 {
		all += tries(fmt.Sprintf("203.0.113.%d:1", i))
	}
	if all != 100 {
		t.Errorf("many strangers have %d tries", all)
	}
}

// TestR3_TwelveAddresses checks that unknown clients in twelve networks of one
// home, or at any number of addresses, do not lock out a user who has logged in
// from a known device or network. A known device or network has only its own
// budget.
func TestR3_TwelveAddresses(t *testing.T) {
	for name, stranger := range map[string]func(i int) string{
		"twelve /64s of one /56":  func(i int) string { return fmt.Sprintf("[2001:db8:1:1%02x::1]:80", i%12) },
		"twelve IPv4 addresses":   func(i int) string { return fmt.Sprintf("203.0.113.%d:80", i%12) },
		"thousands of addresses":  func(i int) string { return fmt.Sprintf("[2001:%x:1::1]:80", i) },
		"the network of the user": func(int) string { return "[2001:db8:ffff:1::66]:80" },
	} {
		a, now := newAttempts(0), time.Now()
		home := "[2001:db8:ffff:1::1]:80"
		device := newCaller("[2001:db8:abcd::1]:80", "anna", "d1") // from another network
		atHome := newCaller(home, "anna", "")
		if logIn(a, atHome, now) > 0 {
			t.Fatal("the first login")
		}
		for i := range 300 {
			failures(a, newCaller(stranger(i), "anna", ""), now)
			failures(a, newCaller(stranger(i), fmt.Sprint("other", i), ""), now)
		}
		if wait := logIn(a, device, now); wait > 0 {
			t.Errorf("%s: the device waits %v", name, wait)
		}
		if wait := logIn(a, atHome, now); wait > 0 && name != "the network of the user" {
			t.Errorf("%s: the network waits %v", name, wait)
		}
		if n := failures(a, device, now); n != 10 {
			t.Errorf("%s: the device has %d tries, want 10", name, n)
		}
		if wait := logIn(a, device, now.Add(6*time.Second)); wait > 0 {
			t.Errorf("%s: the device waits %v after 6 s", name, wait)
		}
		if n := failures(a, newCaller("[2001:db8:abcd::1]:80", "bert", ""), now); n > 10 {
			t.Errorf("%s: %d tries at another name", name, n)
		}
	}
}

// TestNetworkBudgets checks that an IPv4 address or a /64 has 20 failures, a
// /56 has 60 and a /48 has 120, however they are distributed.
func TestNetworkBudgets(t *testing.T) {
	for name, tt := range map[string]struct {
		addr func(i int) string
		want int
	}{
		"IPv4":        {func(int) string { return "192.0.2.1:80" }, 20},
		"mapped IPv4": {func(i int) string { return []string{"192.0.2.1:80", "[::ffff:192.0.2.1]:80"}[i%2] }, 20},
		"a /64":       {func(i int) string { return fmt.Sprintf("[2001:db8:1:2:%x::1]:80", i) }, 20},
		"zones":       {func(i int) string { return fmt.Sprintf("[fe80::1%%eth%d]:80", i) }, 20},
		"a /56":       {func(i int) string { return fmt.Sprintf("[2001:db8:1:2%02x::1]:80", i%256) }, 60},
		"a /48":       {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:80", i*251%65536) }, 120},
		"no address":  {func(int) string { return "@" }, 20},
	} {
		a, now, n := newAttempts(0), time.Now(), 0
		for i := range 1000 {
			attempt, wait := a.begin(newCaller(tt.addr(i), fmt.Sprint("name", i), ""), now)
			if wait == 0 {
				attempt.failed(now)
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: %d failures, want %d", name, n, tt.want)
		}
	}
}

// TestSeenNetworks checks that a few networks are remembered for each name, and
// that none evicts those of another name.
func TestSeenNetworks(t *testing.T) {
	s, now := newSeenNetworks(), time.Now()
	s.add("home anna", "anna", now)
	for i := range 1000 {
		s.add(fmt.Sprint(i, " mallory"), "mallory", now.Add(time.Duration(i)))
	}
	if !s.has("home anna", "anna", now) || s.has("home anna", "mallory", now) || len(s.names["mallory"]) != seenPerName {
		t.Errorf("anna's network is not known, or mallory has %d", len(s.names["mallory"]))
	}
	if !s.has("999 mallory", "mallory", now) || s.has("0 mallory", "mallory", now) {
		t.Error("the oldest network was not evicted")
	}
	if s.has("home anna", "anna", now.Add(seenLife)) {
		t.Error("a network is known forever")
	}
	for i := range maxSeenNames + 10 {
		s.add("x", fmt.Sprint(i), now)
	}
	if len(s.names) > maxSeenNames {
		t.Errorf("%d names", len(s.names))
	}
}

// TestKnownNetworkWithManyNames checks that a network from which many users
// have logged in has one budget for all of their names.
func TestKnownNetworkWithManyNames(t *testing.T) {
	a, now, n := newAttempts(0), time.Now(), 0
	for i := range homeFailures/knownFailures + 2 {
		c := newCaller("192.0.2.1:1", fmt.Sprint("user", i), "")
		if wait := logIn(a, c, now); wait > 0 {
			t.Fatalf("the login of user %d waits %v", i, wait)
		}
	}
	for i := range homeFailures/knownFailures + 2 {
		n += failures(a, newCaller("192.0.2.1:1", fmt.Sprint("user", i), ""), now)
	}
	if n != homeFailures {
		t.Errorf("%d failures from one network, want %d", n, homeFailures)
	}
}

// TestKnownDevicesAndNetworksOfOneName checks that all known networks of a name
// share the failures of that name, and that all known devices do.
func TestKnownDevicesAndNetworksOfOneName(t *testing.T) {
	for what, from := range map[string]func(i int) caller{
		"networks": func(i int) caller { return newCaller(fmt.Sprintf("192.0.2.%d:1", i), "anna", "") },
		"devices":  func(i int) caller { return newCaller("192.0.2.1:1", "anna", fmt.Sprint("d", i)) },
	} {
		a, now, n := newAttempts(0), time.Now(), 0
		for i := range nameFailures/knownFailures + 2 {
			if wait := logIn(a, from(i), now); wait > 0 {
				t.Fatalf("%s: login %d waits %v", what, i, wait)
			}
		}
		for i := range nameFailures/knownFailures + 2 {
			n += failures(a, from(i), now)
		}
		if n != nameFailures {
			t.Errorf("%s: %d failures of one name, want %d", what, n, nameFailures)
		}
	}
}

// TestFailuresAreNoLogins checks that a wrong password does not use up a login.
func TestFailuresAreNoLogins(t *testing.T) {
	a, now, c := newAttempts(2), time.Now(), newCaller("192.0.2.1:1", "anna", "")
	if n := failures(a, c, now); n != pairFailures {
		t.Errorf("%d failures, want %d", n, pairFailures)
	}
	now = now.Add(pairEvery * pairFailures) // too early for another login
	for i := range 2 {
		if wait := logIn(a, c, now); wait > 0 {
			t.Errorf("login %d waits %v", i, wait)
		}
	}
	if logIn(a, c, now) == 0 {
		t.Error("a third login is allowed")
	}
}

// TestStepUpIsNoLogin checks that repeating the password does not use up a
// login.
func TestStepUpIsNoLogin(t *testing.T) {
	r := start(t, func(c *setup) { c.LoginsPerHour = 1 })
	access, _ := r.Login()
	for range 3 {
		if e := r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access)); e.StatusCode != http.StatusOK {
			t.Errorf("%d %s", e.StatusCode, e.Text)
		}
	}
	r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType).WantProblem(t, 429, "rate_limited", "")
}

// TestLoginsAreLimited checks that the logins of a user from one network are
// limited, and that this does not affect other users and networks.
func TestLoginsAreLimited(t *testing.T) {
	a, now := newAttempts(30), time.Now()
	logins := func(addr, name, device string) (n int) {
		for logIn(a, newCaller(addr, name, device), now) == 0 {
			n++
			if n > 100 {
				break
			}
		}
		return n
	}
	if n := logins("192.0.2.1:1", "anna", ""); n != 30 {
		t.Errorf("%d logins, want 30", n)
	}
	if n := logins("192.0.2.1:1", "anna", "device"); n != 0 {
		t.Errorf("%d logins of a device, want none", n)
	}
	if n := logins("192.0.2.1:1", "bert", ""); n != 30 {
		t.Errorf("%d logins of another user, want 30", n)
	}
	if n := logins("192.0.2.2:1", "anna", ""); n != 30 {
		t.Errorf("%d logins from elsewhere, want 30", n)
	}
	now = now.Add(2 * time.Minute)
	if n := logins("192.0.2.1:1", "anna", ""); n != 1 {
		t.Errorf("%d logins after two minutes, want one", n)
	}
	if n := failures(newAttempts(30), newCaller("192.0.2.1:1", "anna", ""), now); n != 10 {
		t.Errorf("%d failures, want 10: they take nothing from the logins", n)
	}
}

// TestRefusedLoginsCostNothing checks that a refused login uses up no attempt.
// While 20 logins with the right password are in progress, one more is refused.
// After the 20 have succeeded, as many are allowed as before. The same holds if
// one limiter refuses and the others do not.
func TestRefusedLoginsCostNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		login := func(name, password string) int {
			body := fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)
			req := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(body))
			req.RemoteAddr = "192.0.2.1:80"
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			r.s.ServeHTTP(w, req)
			return w.Code
		}
		for round := range 3 {
			var logins sync.WaitGroup
			for i := range 20 {
				logins.Go(func() {
					if code := login(fmt.Sprint("user", round, " ", i), "test"); code != http.StatusOK {
						t.Errorf("round %d: login %d is %d", round, i, code)
					}
				})
			}
			time.Sleep(time.Second / 2) // all are in progress
			if code := login("another", "test"); code != http.StatusTooManyRequests {
				t.Errorf("round %d: one too many is %d", round, code)
			}
			logins.Wait()
		}
		for i := range 30 { // the limit of the name refuses, and the address loses no attempt
			if code := login("anna", "wrong"); (code == http.StatusTooManyRequests) != (i >= 10) {
				t.Errorf("wrong password %d is %d", i, code)
			}
		}
		for i := range 4 { // 20 of the address, less 10, and some that came back
			if code := login(fmt.Sprint("other", i), "wrong"); code != http.StatusUnauthorized {
				t.Errorf("another name %d is %d", i, code)
			}
		}
	}, func(c *setup) {
		c.Users = AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) {
			if password == "test" {
				time.Sleep(time.Second)
			}
			return password == "test", nil
		})
	})
}

// TestR3_UnknownUserTakesTheSameTime checks that an unknown name takes as long
// as a known one, also on a busy machine.
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
			started := time.Now()
			if ok, err := users.Authenticate(t.Context(), name, "wrong"); ok || err != nil {
				t.Fatal(ok, err)
			}
			*times = append(*times, time.Since(started))
		}
	}
	slices.Sort(known)
	slices.Sort(unknown)
	if a, b := known[0], unknown[0]; a > 2*b || b > 2*a { // the minima, which other load affects least
		t.Errorf("a known name takes %v, an unknown one %v", a, b)
	}
}

// TestFailedLoginsPage checks that docs/security.md has the limits of the
// program.
func TestFailedLoginsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		budget string
		burst  int
		every  time.Duration
	}{
		{"| unknown | of the IPv4 address or the IPv6 /64", networkFailures, networkEvery},
		{"| | of the /56", homeFailures, homeEvery},
		{"| | of the /48", siteFailures, siteEvery},
		{"| | of the name from that address or /64", pairFailures, pairEvery},
		{"| | of the name, of all unknown clients together", nameFailures, nameEvery},
		{"| a known device | its own for that name", knownFailures, pairEvery},
		{"| a known address or /64 | its own for that name", knownFailures, pairEvery},
	} {
		want := fmt.Sprintf("%s | %d | %v s |\n", row.budget, row.burst, row.every.Seconds())
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/security.md has no row %q", want)
		}
	}
	if !strings.Contains(string(page), fmt.Sprintf("| logins that succeed | %d an hour", defaultLoginsPerHour)) {
		t.Error("docs/security.md has another number of logins that succeed")
	}
}

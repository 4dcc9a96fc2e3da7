package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/password"
)

const hashTime = 250 * time.Millisecond

// slowUsers returns users who all have the password "test". Each check takes
// hashTime, and only slots run at a time.
func slowUsers(t *testing.T, slots int, names ...string) *Users {
	t.Helper()
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name, "test")
	}
	u, _ := openUsers(t, pairs...)
	u.hashing = newHashQueue(slots)
	u.matches = func(_ password.Hash, pass string) bool {
		time.Sleep(hashTime)
		return pass == "test"
	}
	return u
}

// TestKnownDeviceWaitsThreeHashes checks that 256 wrong passwords, from one
// network or from 256, do not delay a known device by more than three hashes.
func TestKnownDeviceWaitsThreeHashes(t *testing.T) {
	for name, addr := range map[string]func(i int) string{
		"one /64":          func(i int) string { return fmt.Sprintf("[2001:db8:1:2::%x]:80", i+1) },
		"the device's /64": func(i int) string { return fmt.Sprintf("[2001:db8:ffff:1::%x]:80", i+1) },
		"256 networks":     func(i int) string { return fmt.Sprintf("203.0.113.%d:80", i) },
		"256 /48s":         func(i int) string { return fmt.Sprintf("[2001:%x:1::1]:80", i+1) },
	} {
		for _, slots := range []int{1, 2, 4} {
			for _, after := range []time.Duration{0, hashTime / 3, time.Second, 1900 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s, %d slots, after %v", name, slots, after), func(t *testing.T) {
					var users *Users
					synctest.Test(t, func(t *testing.T) {
						users = slowUsers(t, slots, "anna", "bert")
						r := build(t, func(c *setup) { c.Users = users })
						defer func() { _ = r.guard.Shutdown(context.Background()) }()
						_, device := r.loginFrom("[2001:db8:ffff:1::1]:80", "anna", "test")
						var tries sync.WaitGroup
						for i := range 256 {
							tries.Go(func() {
								code, _ := r.loginFrom(addr(i), []string{"anna", "nobody", "bert"}[i%3], "wrong")
								if code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
									t.Errorf("a wrong password is %d", code)
								}
							})
						}
						time.Sleep(after)
						synctest.Wait()
						started := time.Now()
						code, _ := r.loginFrom("198.51.100.1:80", "anna", "test", device)
						if took := time.Since(started); code != http.StatusOK || took > 3*hashTime {
							t.Errorf("the known device gets %d after %v", code, took)
						}
						tries.Wait()
					})
				})
			}
		}
	}
}

// TestKnownDevicesOfOneUserTakeOneTurn checks that a user with 100 concurrent
// sessions and as many devices delays another user's device by no more than
// three hashes. Only a few of the user's passwords can wait at a time.
func TestKnownDevicesOfOneUserTakeOneTurn(t *testing.T) {
	const devices = 40
	for _, path := range []string{"/auth/login", "/auth/fresh"} {
		t.Run(path, func(t *testing.T) {
			var users *Users
			synctest.Test(t, func(t *testing.T) {
				users = slowUsers(t, 1, "anna", "mallory")
				r := build(t, func(c *setup) { c.Users, c.AccessTTL = users, time.Hour })
				defer func() { _ = r.guard.Shutdown(context.Background()) }()
				_, device := r.loginFrom("[2001:db8:ffff:1::1]:80", "anna", "test")
				requests := make([]*http.Request, devices)
				for i := range requests {
					from := fmt.Sprintf("203.0.113.%d:80", i)
					body := strings.NewReader(`{"username":"mallory","password":"test"}`)
					login := httptest.NewRequest(http.MethodPost, "/auth/login", body)
					login.RemoteAddr = from
					login.Header.Set("Content-Type", "application/json")
					w := httptest.NewRecorder()
					r.s.ServeHTTP(w, login)
					if w.Code != http.StatusOK {
						t.Fatalf("mallory's login is %d", w.Code)
					}
					var answer struct {
						Access string `json:"access_token"`
					}
					if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
						t.Fatal(err)
					}
					requests[i] = httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"username":"mallory","password":"wrong"}`))
					requests[i].RemoteAddr = from
					requests[i].Header.Set("Content-Type", "application/json")
					if path == "/auth/fresh" {
						requests[i].Body = io.NopCloser(strings.NewReader(`{"password":"wrong"}`))
						requests[i].Header.Set("Authorization", "Bearer "+answer.Access)
					} else {
						requests[i].AddCookie(w.Result().Cookies()[0])
					}
				}
				var tries sync.WaitGroup
				for _, req := range requests {
					tries.Go(func() { r.s.ServeHTTP(httptest.NewRecorder(), req) })
				}
				synctest.Wait()
				if waiting := users.hashing.known.waiting; waiting != maxWaitingName {
					t.Errorf("%d of one user wait, want %d", waiting, maxWaitingName)
				}
				started := time.Now()
				code, _ := r.loginFrom("198.51.100.1:80", "anna", "test", device)
				if took := time.Since(started); code != http.StatusOK || took > 3*hashTime {
					t.Errorf("the known device gets %d after %v", code, took)
				}
				tries.Wait()
			})
		})
	}
}

// TestLongWaitsAreRefused checks that an unknown client that would wait over 2
// s is refused at once, with the time to wait. This is not counted as a
// failure.
func TestLongWaitsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := slowUsers(t, 1, "anna")
		r := build(t, func(c *setup) { c.Users = users })
		defer func() { _ = r.guard.Shutdown(context.Background()) }()
		for i := range 8 { // so that the queue has measured how long a hash takes
			r.loginFrom(fmt.Sprintf("192.0.2.%d:80", i), "nobody", "wrong")
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		refused := 0
		for i := range 30 {
			all.Go(func() {
				req := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(`{"username":"anna","password":"test"}`))
				req.RemoteAddr = fmt.Sprintf("198.51.100.%d:80", i)
				req.Header.Set("Content-Type", "application/json")
				w, started := httptest.NewRecorder(), time.Now()
				r.s.ServeHTTP(w, req)
				took := time.Since(started)
				mu.Lock()
				defer mu.Unlock()
				seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
				switch {
				case w.Code == http.StatusTooManyRequests && took == 0 && seconds >= 1 && seconds <= 4:
					refused++
				case w.Code != http.StatusOK || took > unknownWait+hashTime*3:
					t.Errorf("%d after %v, Retry-After %d", w.Code, took, seconds)
				}
			})
		}
		all.Wait()
		if refused < 20 || refused > 23 {
			t.Errorf("%d of 30 were refused, want those that would wait over 2 s", refused)
		}
	})
}

// TestHashQueueTakesTurns checks that at most four passwords of one network
// wait, and that networks take turns.
func TestHashQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue(1)
		first, err := q.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		busy := 0
		enter := func(key string, known bool) {
			go func() {
				c := hashClient{key: key}
				if known {
					c.device = "one"
				}
				leave, err := q.enter(withHashClient(t.Context(), c))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					busy++
					return
				}
				order = append(order, key)
				time.AfterFunc(time.Millisecond, leave)
			}()
			synctest.Wait()
		}
		for range 6 {
			enter("a", false)
		}
		enter("b", false)
		enter("c", false)
		for range 6 {
			enter("D", true)
		}
		enter("E", true)
		first()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Join(order, ""); got != "DaEbDcDaDaa" || busy != 4 {
			t.Errorf("order %s, %d refused; want DaEbDcDaDaa and 4", got, busy)
		}
		if q.running != 0 || len(q.known.byKey)+len(q.unknown.byKey)+len(q.known.order)+len(q.unknown.order) != 0 {
			t.Errorf("left over: %+v", q)
		}
	})
}

// TestExpectedWait checks the estimate of how long one more client waits.
func TestExpectedWait(t *testing.T) {
	for name, test := range map[string]struct {
		slots          int
		known, unknown string // the keys of the waiting clients
		key            string
		hashes         int // that end before its own starts
	}{
		"nobody waits":                     {1, "", "", "x", 1},
		"one of another network":           {1, "", "a", "x", 2},
		"many of another network":          {1, "", "aaaa", "x", 2},
		"many of this network":             {1, "", "xxxx", "x", 5},
		"some of this network, and others": {1, "", "xxaaabbb", "x", 9},
		"known devices":                    {1, "k", "", "x", 2},
		"more known devices":               {1, "kkkk", "", "x", 2},
		"known devices and a network":      {1, "kkkk", "a", "x", 4},
		"two slots":                        {2, "kkkk", "a", "x", 4},
	} {
		t.Run(name, func(t *testing.T) {
			q := newHashQueue(test.slots)
			q.took = hashTime
			for _, key := range test.known {
				q.known.add(string(key), &waiter{})
			}
			for _, key := range test.unknown {
				q.unknown.add(string(key), &waiter{})
			}
			want := time.Duration(test.hashes) * hashTime / time.Duration(test.slots)
			if got := q.expected(&q.unknown, test.key); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// TestHashQueueIsBounded checks that the number of waiting clients is bounded.
func TestHashQueueIsBounded(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for waiting, full := range map[int]bool{0: false, maxWaiting - 1: false, maxWaiting: true, maxWaiting + 1: true} {
		q := newHashQueue(1)
		q.running = 1
		q.unknown.waiting = waiting
		_, err := q.enter(gone)
		if _, busy := errors.AsType[busyError](err); busy != full || !full && !errors.Is(err, context.Canceled) {
			t.Errorf("%d wait: %v", waiting, err)
		}
	}
}

// TestWaitingLinesRemove checks the removal of waiters from the beginning,
// middle and end of a line, and of one that is not in it.
func TestWaitingLinesRemove(t *testing.T) {
	l := newWaitingLines()
	var waiters []*waiter
	for range 3 {
		w := &waiter{}
		waiters = append(waiters, w)
		l.add("a", w)
	}
	l.add("b", &waiter{})
	for left, i := range []int{1, 0, 2} {
		if !l.remove("a", waiters[i]) || l.waiting != 3-left || len(l.byKey["a"]) != 2-left {
			t.Errorf("waiter %d: %d wait, %d of them here", i, l.waiting, len(l.byKey["a"]))
		}
		if l.remove("a", waiters[i]) || l.waiting != 3-left {
			t.Errorf("waiter %d is removed twice", i)
		}
	}
	if strings.Join(l.order, "") != "b" {
		t.Errorf("turns %q", l.order)
	}
}

// TestHashQueueGivesUp checks that a client that disconnects gives up its
// place, even if its turn has just come, and that clients do not wait forever
// for slow hashes.
func TestHashQueueGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue(1)
		first, err := q.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := make(chan error, 2)
		go func() {
			_, err := q.enter(withHashClient(ctx, hashClient{"a", "one"}))
			errs <- err
		}()
		go func() {
			_, err := q.enter(withHashClient(t.Context(), hashClient{key: "b"}))
			errs <- err
		}()
		started := time.Now()
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
		err = <-errs
		if _, ok := errors.AsType[busyError](err); !ok || time.Since(started) != maxUnknownWait {
			t.Errorf("%v after %v", err, time.Since(started))
		}
		w := &waiter{turn: make(chan struct{})}
		q.unknown.add("c", w)
		first()
		if q.unknown.remove("c", w) || q.running != 1 {
			t.Error("the turn was not given")
		}
		q.leaving()()
		if q.running != 0 {
			t.Errorf("%d are running", q.running)
		}
	})
}

// TestWaitingLinesForget checks that nothing is left of clients that no longer
// wait, whether or not they had their turn.
func TestWaitingLinesForget(t *testing.T) {
	l := newWaitingLines()
	waiters := map[string][]*waiter{}
	for i := range 6 {
		key, w := fmt.Sprint("network ", i%3), &waiter{}
		l.add(key, w)
		waiters[key] = append(waiters[key], w)
	}
	if first := l.next(); first != waiters["network 0"][0] {
		t.Error("another one has the first turn")
	}
	for key, line := range waiters {
		for _, w := range line[1:] {
			if !l.remove(key, w) || l.remove(key, w) {
				t.Errorf("%s: not removed, or twice", key)
			}
		}
	}
	for l.waiting > 0 {
		l.next()
	}
	if len(l.byKey) != 0 || len(l.order) != 0 {
		t.Errorf("%d lines and %d turns are left", len(l.byKey), len(l.order))
	}
}

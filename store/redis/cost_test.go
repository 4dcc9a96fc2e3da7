package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsauth/store"
)

// TestRoundTrips checks how many commands each method sends.
func TestRoundTrips(t *testing.T) {
	server := startServer(t)
	s, err := open(t.Context(), server.config().defaults(), time.Hour) // no beats
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	want := map[string]int{"RotateSession": 2}
	scripts := func() int {
		_, text, _ := strings.Cut(server.info(t, "cmdstat_evalsha"), "calls=")
		text, _, _ = strings.Cut(text, ",")
		n, _ := strconv.Atoi(text)
		return n
	}
	all := calls(s)
	delete(all, "Wait")
	for name, call := range all {
		if name == "RotateSession" || name == "PresentSession" {
			_ = all["EndSession"](t.Context())
			_ = all["BeginSession"](t.Context())
		}
		_ = call(t.Context()) // loads the script
		if name == "RotateSession" {
			_ = all["EndSession"](t.Context())
			_ = all["BeginSession"](t.Context())
		}
		before := scripts()
		_ = call(t.Context())
		if got, want := scripts()-before, max(want[name], 1); got != want {
			t.Errorf("%s sends %d commands, want %d", name, got, want)
		}
	}
}

// TestSizes checks that items take at most a fifth more memory than the
// documentation says. The margin is for tables, which double in size.
func TestSizes(t *testing.T) {
	server := startServer(t)
	s := mustOpen(t, server.config())
	used := func() int {
		n, err := strconv.Atoi(server.info(t, "used_memory"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	now := time.Now()
	expires := now.Add(time.Hour)
	if _, err := s.KeepNode(t.Context(), store.Node{ID: "node"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	const count = 2000
	for _, test := range []struct {
		what string
		max  int
		add  func(i int) error
	}{
		{"session", 550, func(i int) error {
			return s.BeginSession(t.Context(), store.Session{
				ID: store.NewSessionID(now), Subject: fmt.Sprintf("user-%08d", i), Current: "AAAAAAAAAAAAAAAAAAAAAA", Started: now, Expires: expires, Ends: expires,
				Remote: "192.0.2.1", Agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130",
			})
		}},
		{"ticket", 270 + 300, func(i int) error {
			return s.PutTicket(t.Context(), store.TicketKey{byte(i), byte(i >> 8)}, make([]byte, 300), expires)
		}},
		{"revocation", 300, func(int) error {
			return s.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: store.NewSessionID(now), Expires: expires})
		}},
		{"count", 220, func(i int) error {
			_, err := s.SetCount(t.Context(), store.Count{Node: "node", Key: fmt.Sprintf("user-%08d", i), N: 1, Oldest: now})
			return err
		}},
		{"bucket", 170, func(i int) error {
			_, err := s.Take(t.Context(), fmt.Sprintf("user-%08d", i), time.Minute, 5)
			return err
		}},
	} {
		before := used()
		for i := range count {
			if err := test.add(i); err != nil {
				t.Fatalf("%s: %v", test.what, err)
			}
		}
		size := (used() - before) / count
		t.Logf("%s: %d bytes", test.what, size)
		if size > test.max*6/5 {
			t.Errorf("a %s takes %d bytes, want %d", test.what, size, test.max)
		}
	}
}

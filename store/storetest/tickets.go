package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
)

// Tickets tests an implementation of [store.Tickets].
func Tickets[S store.Tickets](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, store.Tickets)) func(*testing.T, S) {
		return func(t *testing.T, s S) { body(t, onAllTickets(c.nodes(t, s))) }
	}
	onNodes := func(body func(*testing.T, []store.Tickets)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			nodes := c.nodes(t, s)
			body(t, []store.Tickets{nodes[0], nodes[1], nodes[2]})
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"L9 replay":    on(testTicketOnce),
		"values":       on(testTicketValues),
		"invalid":      on(testTicketInvalid),
		"L11 expired":  on(testTicketExpired),
		"L11 soon":     func(t *testing.T, s S) { testTicketSoon(t, s, onAllTickets(c.nodes(t, s))) },
		"cancellation": on(testTicketCancellation),
		"L10 race":     onNodes(testTicketRace),
		"put race":     onNodes(testTicketPutRace),
	})
	if c.Run != nil {
		c.each(t, map[string]func(*testing.T, S){
			"L11 expiry": on(testTicketExpiry),
		})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){"L9 restart": func(t *testing.T, s S) {
			testTicketRestart(t, s, func() store.Tickets { return c.Reopen(t, s) })
		}})
	}
	if c.OpenSmall != nil {
		t.Run("full", func(t *testing.T) {
			c.run(t, func(t *testing.T) { testTicketFull(t, c.OpenSmall(t)) })
		})
	}
}

func ticketKey(name string) store.TicketKey { return sha256.Sum256([]byte(name)) }

func put(t *testing.T, s store.Tickets, name, value string) {
	t.Helper()
	if err := s.PutTicket(t.Context(), ticketKey(name), []byte(value), expires); err != nil {
		t.Fatalf("PutTicket %s: %v", name, err)
	}
}

// wantTaken takes a ticket and asserts its value.
func wantTaken(t *testing.T, s store.Tickets, name, want string) {
	t.Helper()
	if got, err := s.TakeTicket(t.Context(), ticketKey(name)); err != nil || string(got) != want {
		t.Errorf("TakeTicket %s: %.40q, %v, want %.40q", name, got, err, want)
	}
}

// wantNoTicket asserts that a ticket does not exist.
func wantNoTicket(t *testing.T, s store.Tickets, name string) {
	t.Helper()
	if got, err := s.TakeTicket(t.Context(), ticketKey(name)); !errors.Is(err, store.ErrNotFound) || got != nil {
		t.Errorf("TakeTicket %s: %.40q, %v, want ErrNotFound", name, got, err)
	}
}

func testTicketOnce(t *testing.T, s store.Tickets) {
	wantNoTicket(t, s, "a")
	put(t, s, "a", "one")
	put(t, s, "b", "two")
	wantTaken(t, s, "a", "one")
	wantNoTicket(t, s, "a")
	wantNoTicket(t, s, "a")
	wantTaken(t, s, "b", "two")
	wantNoTicket(t, s, "b")
	put(t, s, "a", "again")
	wantTaken(t, s, "a", "again")
	wantNoTicket(t, s, "a")
}

// testTicketValues checks that a value of any bytes is returned unchanged, even
// if the caller of PutTicket later modifies its slice.
func testTicketValues(t *testing.T, s store.Tickets) {
	put(t, s, "empty", "")
	put(t, s, "binary", "\x00\xff\n\r\"")
	put(t, s, "long", string(bytes.Repeat([]byte{'x'}, store.MaxTicketValue)))
	wantTaken(t, s, "empty", "")
	wantTaken(t, s, "binary", "\x00\xff\n\r\"")
	wantTaken(t, s, "long", string(bytes.Repeat([]byte{'x'}, store.MaxTicketValue)))

	value := []byte("value")
	if err := s.PutTicket(t.Context(), ticketKey("copied"), value, expires); err != nil {
		t.Fatal(err)
	}
	copy(value, "other")
	wantTaken(t, s, "copied", "value")
}

// testTicketInvalid checks that invalid tickets are refused and change nothing.
func testTicketInvalid(t *testing.T, s store.Tickets) {
	long := make([]byte, store.MaxTicketValue+1)
	if err := s.PutTicket(t.Context(), ticketKey("long"), long, expires); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("too long: %v, want ErrInvalid", err)
	}
	wantNoTicket(t, s, "long")
	put(t, s, "a", "first")
	if err := s.PutTicket(t.Context(), ticketKey("a"), []byte("second"), expires); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an existing key: %v, want ErrInvalid", err)
	}
	wantTaken(t, s, "a", "first")
	wantNoTicket(t, s, "a")
}

// testTicketExpired checks that putting an expired ticket is not an error, and
// stores nothing.
func testTicketExpired(t *testing.T, s store.Tickets) {
	for name, moment := range map[string]time.Time{"just": time.Now(), "long ago": time.Now().Add(-time.Hour), "never": {}} {
		if err := s.PutTicket(t.Context(), ticketKey(name), nil, moment); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantNoTicket(t, s, name)
	}
}

func testTicketCancellation(t *testing.T, s store.Tickets) {
	put(t, s, "a", "value")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := s.PutTicket(ctx, ticketKey("b"), nil, expires); !errors.Is(err, context.Canceled) {
			t.Fatalf("PutTicket: %v", err)
		}
		if got, err := s.TakeTicket(ctx, ticketKey("a")); !errors.Is(err, context.Canceled) || got != nil {
			t.Fatalf("TakeTicket: %q, %v", got, err)
		}
	}
	wantNoTicket(t, s, "b")
	wantTaken(t, s, "a", "value")
}

// testTicketRace checks that of 100 calls on three nodes for each of 100
// tickets, exactly one gets it.
func testTicketRace(t *testing.T, nodes []store.Tickets) {
	const tickets, calls = 100, 100
	for n := range tickets {
		put(t, nodes[0], fmt.Sprint(n), fmt.Sprint("value ", n))
	}
	var winners [tickets]atomic.Int64
	var wg sync.WaitGroup
	for call := range calls {
		wg.Go(func() {
			for i := range tickets {
				// Ten calls compete for each ticket.
				n := (i + call/10) % tickets
				value, err := nodes[call%len(nodes)].TakeTicket(t.Context(), ticketKey(fmt.Sprint(n)))
				switch {
				case err == nil:
					winners[n].Add(1)
					if string(value) != fmt.Sprint("value ", n) {
						t.Errorf("ticket %d is %q", n, value)
					}
				case !errors.Is(err, store.ErrNotFound) || value != nil:
					t.Errorf("ticket %d: %q, %v", n, value, err)
				}
			}
		})
	}
	wg.Wait()
	for n := range winners {
		if got := winners[n].Load(); got != 1 {
			t.Errorf("ticket %d has %d winners", n, got)
		}
	}
}

// testTicketPutRace checks that of many calls that put the same key, one
// succeeds, and that its value is stored.
func testTicketPutRace(t *testing.T, nodes []store.Tickets) {
	for round := range 20 {
		key := ticketKey(fmt.Sprint(round))
		var wg sync.WaitGroup
		var put sync.Map
		for call := range 20 {
			wg.Go(func() {
				value := fmt.Sprint(call)
				err := nodes[call%len(nodes)].PutTicket(t.Context(), key, []byte(value), expires)
				if err == nil {
					put.Store(value, true)
				} else if !errors.Is(err, store.ErrInvalid) {
					t.Errorf("PutTicket: %v", err)
				}
			})
		}
		wg.Wait()
		got, err := nodes[0].TakeTicket(t.Context(), key)
		if _, ok := put.Load(string(got)); err != nil || !ok {
			t.Errorf("took %q, %v", got, err)
		}
		put.Delete(string(got))
		put.Range(func(value, _ any) bool { t.Errorf("%v was put, too", value); return true })
	}
}

// testTicketSoon checks that a ticket expires by the store's clock.
func testTicketSoon(t *testing.T, clock any, s store.Tickets) {
	moment := now(t, clock).Add(50 * time.Millisecond)
	if err := s.PutTicket(t.Context(), ticketKey("a"), []byte("soon"), moment); err != nil {
		t.Fatal(err)
	}
	passed(t, clock, moment)
	wantNoTicket(t, s, "a")
	put(t, s, "a", "again")
	wantTaken(t, s, "a", "again")
}

// testTicketExpiry checks that a ticket is valid until it expires.
func testTicketExpiry(t *testing.T, s store.Tickets) {
	moment := time.Now().Add(30 * time.Second).Truncate(time.Millisecond)
	for _, name := range []string{"early", "late", "later"} {
		if err := s.PutTicket(t.Context(), ticketKey(name), []byte(name), moment); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "other", "value")
	time.Sleep(time.Until(moment) - time.Millisecond)
	wantTaken(t, s, "early", "early")
	time.Sleep(time.Millisecond)
	wantNoTicket(t, s, "late")
	put(t, s, "late", "again")
	wantTaken(t, s, "late", "again")
	time.Sleep(24 * time.Hour)
	wantNoTicket(t, s, "later")
	wantTaken(t, s, "other", "value")
}

// testTicketRestart checks that after a restart, taken tickets cannot be taken
// again, and the others can.
func testTicketRestart(t *testing.T, s store.Tickets, reopen func() store.Tickets) {
	put(t, s, "taken", "one")
	put(t, s, "kept", "two")
	wantTaken(t, s, "taken", "one")
	s = reopen()
	wantNoTicket(t, s, "taken")
	wantTaken(t, s, "kept", "two")
	wantNoTicket(t, s, "kept")
}

func testTicketFull(t *testing.T, s store.Tickets) {
	for _, name := range []string{"a", "b", "c"} {
		put(t, s, name, name)
	}
	if err := s.PutTicket(t.Context(), ticketKey("d"), nil, expires); !errors.Is(err, store.ErrFull) {
		t.Errorf("full: %v, want ErrFull", err)
	}
	wantNoTicket(t, s, "d")
	wantTaken(t, s, "b", "b")
	put(t, s, "d", "d")
	wantTaken(t, s, "a", "a")
	wantTaken(t, s, "d", "d")
}

package login

import (
	"net/http"
	"testing"
	"time"

	"wsauth/token"
)

// TestTicketsOfASessionAreLimited checks that a session that requests tickets
// all the time neither fills the store nor uses up the budgets of others.
func TestTicketsOfASessionAreLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		granted := func(access string) int {
			t.Helper()
			for n := 0; ; n++ {
				e := r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
				if e.StatusCode == http.StatusOK {
					continue
				}
				e.WantProblem(t, 429, "rate_limited", "Too many tickets")
				if after := e.Header.Get("Retry-After"); after != "1" {
					t.Errorf("Retry-After %q, want 1", after)
				}
				return n
			}
		}
		want := func(what, access string, n int) {
			t.Helper()
			if got := granted(access); got != n {
				t.Errorf("%s: %d tickets, want %d", what, got, n)
			}
		}
		access, refresh := r.Login()
		other, _ := r.Login()
		want("at once", access, 20)
		renewed, _ := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
		want("with another token of the session", renewed, 0)
		want("another session of the user", other, 20)
		time.Sleep(time.Second - time.Millisecond)
		want("just before a second is over", access, 0)
		time.Sleep(time.Millisecond)
		want("after a second", access, 1)
		time.Sleep(3 * time.Second)
		want("after three more", renewed, 3)
	}, func(c *setup) { c.TicketBurst, c.TicketRate = 20, 1 })
}

// TestTicketsWithoutASessionAreLimited checks that tokens without a session
// share the budget of their user.
func TestTicketsWithoutASessionAreLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access := func(subject string) string {
			issued, err := r.issuer.Access(subject, token.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return issued.Raw
		}
		for range 20 {
			r.Ticket(access("anna"))
		}
		r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access("anna"))).WantProblem(t, 429, "rate_limited", "")
		r.Ticket(access("bert"))
	}, func(c *setup) { c.TicketBurst = 20 })
}

// TestBadRequestsForTicketsAreFree checks that a malformed request is not
// counted.
func TestBadRequestsForTicketsAreFree(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		for range 30 {
			r.Call("POST", "/auth/ticket", `{}`, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", "")
		}
		for range 20 {
			r.Ticket(access)
		}
	}, func(c *setup) { c.TicketBurst = 20 })
}

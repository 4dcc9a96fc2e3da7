package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth/internal/adminapi"
	"wsauth/token"
)

// subjects returns the users of the sockets that a request lists.
func (r *rig) subjects(target string) []string {
	r.t.Helper()
	all := []string{}
	for _, s := range get[adminapi.Sockets](r, target).Sockets {
		all = append(all, s.Sub)
	}
	return all
}

// TestQuery checks which sockets a query selects. Together with a session or a
// token, user may be the Subject or the IssuerSubject of the claims.
func TestQuery(t *testing.T) {
	r := newRig(t)
	r.open(claims("ada", "s1", "t1"))
	r.open(claims("bert", "s2", "t2"))
	r.open(claims("ada", "s1", "t1"))
	foreign := claims("idp|ada", "idp|s", "idp|t")
	foreign.IssuerSubject = "idp|248"
	r.open(foreign)
	for query, want := range map[string][]string{
		"":                                       {"ada", "bert", "ada", "idp|ada"},
		"user=ada":                               {"ada", "ada"},
		"user=ada&limit=2":                       {"ada", "ada"},
		"session=s1":                             {"ada", "ada"},
		"session=t1":                             {},
		"session=s1&user=bert":                   {},
		"token=t1":                               {"ada", "ada"},
		"token=t1&user=x":                        {},
		"user=nobody":                            {},
		"user=\x00":                              {},
		"user=idp|ada":                           {"idp|ada"},
		"user=idp|248":                           {},
		"session=idp|s&user=idp|ada":             {"idp|ada"},
		"session=idp|s&user=idp|248":             {"idp|ada"},
		"session=idp|s&user=248":                 {},
		"token=idp|t&user=idp|ada":               {"idp|ada"},
		"token=idp|t&user=idp|248":               {"idp|ada"},
		"token=idp|t&user=ada":                   {},
		"token=idp|t&session=idp|s&user=idp|248": {"idp|ada"},
		"token=idp|t&session=x&user=idp|248":     {},
	} {
		query = strings.NewReplacer("|", "%7C", "\x00", "%00").Replace(query)
		if got := r.subjects("/v1/sockets?" + query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestWithoutSession checks that tokens without a sid are listed by jti, and
// that sockets without a token are counted as sockets but not as sessions.
func TestWithoutSession(t *testing.T) {
	r := newRig(t)
	r.open(nil)
	r.open(claims("robot", "", "r1"))
	r.open(claims("robot", "", "r1"))
	sockets := get[adminapi.Sockets](r, "/v1/sockets").Sockets
	if s := sockets[0]; len(sockets) != 3 || s.Sub != "" || s.JTI != "" || s.SID != "" || s.Route != "/ws" || s.Kind != "socket" || s.Expires != 0 {
		t.Errorf("got %+v", sockets)
	}
	sessions := get[adminapi.Sessions](r, "/v1/sessions").Sessions
	if s := sessions[0]; len(sessions) != 1 || s.SID != "" || s.JTI != "r1" || s.Sockets != 2 {
		t.Errorf("got %+v", sessions)
	}
	if open := get[adminapi.Status](r, "/v1/status").Open; open != (adminapi.Open{Sockets: 3, Users: 1}) {
		t.Errorf("got %+v", open)
	}
}

// TestSessions checks both lists of sessions: those with sockets, and all
// stored ones of a user, the oldest first.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		started := time.Now().Unix()
		phone := r.start("ada", "Phone")
		time.Sleep(time.Millisecond) // sessions that start in the same millisecond have no order
		laptop := r.start("ada", "Laptop")
		bert := r.start("bert", "Phone")
		time.Sleep(time.Second)
		for _, claims := range []*token.Claims{phone, bert, phone} {
			r.open(claims)
		}
		want := []adminapi.Session{
			{SID: phone.SessionID, Sub: "ada", Sockets: 2, Opened: started + 1, Remote: "192.0.2.1:1234"},
			{SID: bert.SessionID, Sub: "bert", Sockets: 1, Opened: started + 1, Remote: "192.0.2.1:1234"},
		}
		if diff := cmp.Diff(want, get[adminapi.Sessions](r, "/v1/sessions").Sessions); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want[1:], get[adminapi.Sessions](r, "/v1/sessions?user=bert").Sessions); diff != "" {
			t.Error(diff)
		}
		const day = 24 * 60 * 60
		stored := []adminapi.StoredSession{
			{SID: phone.SessionID, Sub: "ada", Started: started, Used: started, Expires: started + 30*day, Ends: started + 90*day, Remote: "192.0.2.1", Agent: "Phone", Sockets: 2},
			{SID: laptop.SessionID, Sub: "ada", Started: started, Used: started, Expires: started + 30*day, Ends: started + 90*day, Remote: "192.0.2.1", Agent: "Laptop"},
		}
		if diff := cmp.Diff(stored, get[adminapi.StoredSessions](r, "/v1/sessions/stored?user=ada").Sessions); diff != "" {
			t.Error(diff)
		}
		r.revoke(`{"everything":true}`)
		for _, user := range []string{"ada", "nobody"} {
			if left := get[adminapi.StoredSessions](r, "/v1/sessions/stored?user="+user).Sessions; len(left) != 0 {
				t.Errorf("%s: sessions that have ended are listed: %v", user, left)
			}
		}
	})
}

// TestPages checks that each socket that stays open is on exactly one page,
// even if others open and close meanwhile.
func TestPages(t *testing.T) {
	r := newRig(t)
	var others []*socket
	const kept = 12
	for i := range kept {
		r.open(claims(fmt.Sprint("user", i), fmt.Sprint("s", i), fmt.Sprint("t", i)))
		others = append(others, r.open(claims("other", "s", "t")))
	}
	for _, list := range []string{"sockets", "sessions"} {
		seen := map[string]int{}
		after, pages := "", 0
		for more := true; more; pages++ {
			var names []string
			if list == "sockets" {
				page := get[adminapi.Sockets](r, "/v1/sockets?limit=5"+after)
				for _, s := range page.Sockets {
					names = append(names, s.Sub)
				}
				after = page.Next
			} else {
				page := get[adminapi.Sessions](r, "/v1/sessions?limit=5"+after)
				for _, s := range page.Sessions {
					names = append(names, s.Sub)
				}
				after = page.Next
			}
			if len(names) > 5 {
				t.Fatalf("a page of %d", len(names))
			}
			for _, name := range names {
				seen[name]++
			}
			others[0].Closed() // may be the last of the page
			others = append(others[1:], r.open(claims("other", "s", "t")))
			more, after = after != "", "&after="+after
		}
		if pages < 3 {
			t.Errorf("%s: %d pages", list, pages)
		}
		for i := range kept {
			if n := seen[fmt.Sprint("user", i)]; n != 1 {
				t.Errorf("%s: user%d was seen %d times", list, i, n)
			}
		}
	}
}

// FuzzQuery checks that a query that parses has values within their bounds and
// no parameter twice.
func FuzzQuery(f *testing.F) {
	a := &API{run: "ABCDEFGH"}
	names := []string{"user", "session", "token"}
	for _, s := range []string{"", "user=google%7Cada&limit=1000", "after=ABCDEFGH.18446744073709551615", "limit=1&limit=2", "token=%ff", "a;b", "session=a&after=ABCDEFGH.7"} {
		f.Add(s)
	}
	if q, fault := a.parseQuery("user=google%7Cada&limit=7&after=ABCDEFGH.9", names); q != (query{user: "google|ada", limit: 7, after: 9}) || fault != "" {
		f.Fatal(q, fault)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, fault := a.parseQuery(raw, names)
		if fault != "" {
			return
		}
		if q.limit < 1 || q.limit > maxPage || len(q.user)+len(q.session)+len(q.token) > 3*maxName {
			t.Fatalf("got %+v", q)
		}
		again, fault := a.parseQuery("user="+url.QueryEscape(q.user)+"&after="+a.next(q.after), names)
		if q.user != "" && (fault != "" || again.user != q.user || again.after != q.after) {
			t.Fatalf("got %+v and %+v, %s", q, again, fault)
		}
	})
}

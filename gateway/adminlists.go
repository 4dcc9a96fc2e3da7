package gateway

import (
	"net/http"

	"wsauth"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// AdminSockets is a page of the sockets that are open.
type AdminSockets struct {
	Sockets []AdminSocket `json:"sockets"`
	Next    string        `json:"next,omitzero"` // what the following page begins after; absent in the last one
}

// An AdminSocket is an open socket, or a plain request that takes longer than
// a second. Moments are in seconds since 1970.
type AdminSocket struct {
	JTI      string `json:"jti"`               // [token.Claims.ID] of the token that it has now; empty where its client is not known, as is what follows
	SID      string `json:"sid"`               // empty where the token has none
	Sub      string `json:"sub"`               //
	Kind     string `json:"kind"`              // "socket" or "request"
	Route    string `json:"route,omitzero"`    // host and path; absent until there is an upstream
	Upstream string `json:"upstream,omitzero"` // absent where it is not known
	Remote   string `json:"remote"`            // who opened it: address and port
	Since    int64  `json:"since"`
	Expires  int64  `json:"expires,omitzero"` // unless it is renewed before; absent where its client is not known
}

// sockets answers GET /v1/sockets.
func (a *admin) sockets(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user", "session", "token")
	if !ok {
		return
	}
	answer := AdminSockets{Sockets: []AdminSocket{}}
	last := q.after
	for s := range a.matching(q) {
		if len(answer.Sockets) == q.limit {
			answer.Next = a.next(last)
			break
		}
		answer.Sockets = append(answer.Sockets, a.socket(s))
		last = s.Number()
	}
	problem.WriteJSON(w, answer)
}

func (a *admin) socket(s *wsauth.Socket) AdminSocket {
	entry := AdminSocket{Kind: "socket", Remote: visible(s.RemoteAddr()), Since: s.Begun().Unix()}
	if s.Followed() {
		entry.Kind = "request"
	}
	if by := a.gateway.live.find(s); by.proxy != nil {
		entry.Route = by.proxy.route.name()
		if by.proxy != a.gateway.demoProxy() {
			entry.Upstream = by.upstream
		}
	}
	if c := s.Claims(); c != nil {
		entry.JTI, entry.SID, entry.Sub, entry.Expires = c.ID, c.SessionID, c.Subject, c.ValidUntil().Unix()
	}
	return entry
}

// AdminSessions is a page of the sessions that have open sockets. One whose sockets come and go meanwhile may be in two pages.
type AdminSessions struct {
	Sessions []AdminSession `json:"sessions"`
	Next     string         `json:"next,omitzero"` // what the following page begins after; absent in the last one
}

// An AdminSession is the open sockets of one session; where their token has no
// sid, those of one token.
type AdminSession struct {
	SID     string `json:"sid"`
	JTI     string `json:"jti,omitzero"` // only where there is no sid
	Sub     string `json:"sub"`
	Sockets int    `json:"sockets"`
	Since   int64  `json:"since"`  // of the oldest of the sockets
	Remote  string `json:"remote"` // the same
}

// maxScan is how many sockets are looked at for one page of sessions, which then may be shorter.
const maxScan = 10_000

// sessions answers GET /v1/sessions.
func (a *admin) sessions(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user")
	if !ok {
		return
	}
	answer := AdminSessions{Sessions: []AdminSession{}}
	last, scanned := q.after, 0
	seen := map[store.Revocation]bool{}
	for s := range a.matching(q) {
		if len(answer.Sessions) == q.limit || scanned == maxScan {
			answer.Next = a.next(last)
			break
		}
		last = s.Number()
		scanned++
		claims := s.Claims()
		if claims == nil {
			continue
		}
		of := sessionOf(claims)
		if seen[of] {
			continue
		}
		seen[of] = true
		if sockets := a.sharing(of, s); sockets > 0 {
			entry := AdminSession{SID: claims.SessionID, Sub: claims.Subject, Sockets: sockets, Since: s.Begun().Unix(), Remote: visible(s.RemoteAddr())}
			if entry.SID == "" {
				entry.JTI = claims.ID
			}
			answer.Sessions = append(answer.Sessions, entry)
		}
	}
	problem.WriteJSON(w, answer)
}

// sessionOf is what ends the session of a token, without a date.
func sessionOf(c *token.Claims) store.Revocation {
	if c.SessionID != "" {
		return store.Revocation{Scope: store.Session, ID: c.SessionID}
	}
	return store.Revocation{Scope: store.Token, ID: c.ID}
}

// sharing counts the sockets of the session of s where s is the oldest of them; it is 0 for the others.
func (a *admin) sharing(of store.Revocation, s *wsauth.Socket) int {
	sockets := a.gateway.guard.Concerned(of)
	for _, other := range sockets {
		if other.Number() < s.Number() {
			return 0
		}
	}
	return len(sockets)
}

// AdminLogins are the sessions of one user that the store has: the user need not have sockets open.
type AdminLogins struct {
	Logins []AdminLogin `json:"logins"`
}

// An AdminLogin is one session as the store has it. Moments are in seconds since 1970.
type AdminLogin struct {
	SID     string `json:"sid"`
	Sub     string `json:"sub"`
	Began   int64  `json:"began"`
	Used    int64  `json:"used"`    // logged in or refreshed last
	Expires int64  `json:"expires"` // unless it is used before
	Ends    int64  `json:"ends"`    // however much it is used
	Remote  string `json:"remote"`  // where it was used last: an address
	Agent   string `json:"agent"`   // and a program
	Sockets int    `json:"sockets"`
}

// logins answers GET /v1/logins, with the one that began first first. They are at most [store.MaxFamilies].
func (a *admin) logins(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user")
	if !ok {
		return
	}
	if q.user == "" || q.after > 0 {
		problemHandler(http.StatusBadRequest, "invalid_request", "user is needed, and there is one page only")(w, r)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	g := a.gateway
	families, err := g.login.Sessions(ctx, q.user)
	if err != nil {
		a.failed(w, r, "admin: cannot list logins", err)
		return
	}
	sockets := map[string]int{}
	for _, s := range g.guard.Sessions(q.user) {
		sockets[s.Claims().SessionID]++
	}
	answer := AdminLogins{Logins: []AdminLogin{}}
	for _, f := range families {
		answer.Logins = append(answer.Logins, AdminLogin{
			SID: f.ID, Sub: f.Subject, Began: f.Began.Unix(), Used: f.Rotated.Unix(), Expires: f.Expires.Unix(), Ends: f.Ends.Unix(),
			Remote: f.Remote, Agent: f.Agent, Sockets: sockets[f.ID],
		})
	}
	problem.WriteJSON(w, answer)
}

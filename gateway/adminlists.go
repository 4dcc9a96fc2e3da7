package gateway

import (
	"net/http"

	"wsauth"
	"wsauth/internal/problem"
	"wsauth/token"
)

// AdminSockets is a page of the list of open sockets.
type AdminSockets struct {
	Sockets []AdminSocket `json:"sockets"`
	Next    string        `json:"next,omitzero"` // "after" of the next page; absent on the last
}

// An AdminSocket is an open socket, or a plain request that has taken longer
// than a second. Times are in seconds since 1970.
type AdminSocket struct {
	// JTI is the [token.Claims.ID] of the current token. It is empty if the
	// client has not authenticated, and so are SID and Sub.
	JTI      string `json:"jti"`
	SID      string `json:"sid"` // empty if the token has none
	Sub      string `json:"sub"`
	Kind     string `json:"kind"`              // "socket" or "request"
	Route    string `json:"route,omitzero"`    // host and path; absent until an upstream serves it
	Upstream string `json:"upstream,omitzero"` // absent if not known
	Remote   string `json:"remote"`            // address and port of the client
	Since    int64  `json:"since"`
	// Expires is when the token expires unless it is renewed. It is absent if
	// the client has not authenticated.
	Expires int64 `json:"expires,omitzero"`
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
		last = s.ID()
	}
	problem.WriteJSON(w, answer)
}

func (a *admin) socket(s *wsauth.Socket) AdminSocket {
	entry := AdminSocket{Kind: "socket", Remote: visible(s.RemoteAddr()), Since: s.Started().Unix()}
	if s.Followed() {
		entry.Kind = "request"
	}
	entry.Route, entry.Upstream = a.gateway.routes.ServedBy(s)
	if a.gateway.demo != nil {
		entry.Upstream = "" // it has no address
	}
	if c := s.Claims(); c != nil {
		entry.JTI, entry.SID, entry.Sub, entry.Expires = c.ID, c.SessionID, c.Subject, c.ValidUntil().Unix()
	}
	return entry
}

// AdminSessions is a page of the list of sessions that have open sockets. A
// session whose sockets come and go in the meantime may be on two pages.
type AdminSessions struct {
	Sessions []AdminSession `json:"sessions"`
	Next     string         `json:"next,omitzero"` // "after" of the next page; absent on the last
}

// An AdminSession summarizes the open sockets of a session or, if their token
// has no sid, of a token.
type AdminSession struct {
	SID     string `json:"sid"`
	JTI     string `json:"jti,omitzero"` // only without a sid
	Sub     string `json:"sub"`
	Sockets int    `json:"sockets"`
	Since   int64  `json:"since"`  // when the oldest socket was opened
	Remote  string `json:"remote"` // the client of the oldest socket
}

// maxScan is the maximum number of sockets that are examined for a page of
// sessions. The page may be shorter for that.
const maxScan = 10_000

// sessions answers GET /v1/sessions.
func (a *admin) sessions(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user")
	if !ok {
		return
	}
	answer := AdminSessions{Sessions: []AdminSession{}}
	last, scanned := q.after, 0
	seen := map[wsauth.Filter]bool{}
	for s := range a.matching(q) {
		if len(answer.Sessions) == q.limit || scanned == maxScan {
			answer.Next = a.next(last)
			break
		}
		last = s.ID()
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
			entry := AdminSession{SID: claims.SessionID, Sub: claims.Subject, Sockets: sockets, Since: s.Started().Unix(), Remote: visible(s.RemoteAddr())}
			if entry.SID == "" {
				entry.JTI = claims.ID
			}
			answer.Sessions = append(answer.Sessions, entry)
		}
	}
	problem.WriteJSON(w, answer)
}

// sessionOf returns a filter for the sockets of the session of a token, or of
// the token itself if it has no session.
func sessionOf(c *token.Claims) wsauth.Filter {
	if c.SessionID != "" {
		return wsauth.Filter{Session: c.SessionID}
	}
	return wsauth.Filter{Token: c.ID}
}

// sharing returns the number of sockets in the session of s if s is the oldest
// of them, and 0 otherwise.
func (a *admin) sharing(of wsauth.Filter, s *wsauth.Socket) int {
	n := 0
	for other := range a.gateway.guard.Sockets(of) {
		if other.ID() < s.ID() {
			return 0
		}
		n++
	}
	return n
}

// AdminLogins lists the sessions of a user in the store, with and without open
// sockets.
type AdminLogins struct {
	Logins []AdminLogin `json:"logins"`
}

// An AdminLogin is a session in the store. Times are in seconds since 1970.
type AdminLogin struct {
	SID     string `json:"sid"`
	Sub     string `json:"sub"`
	Began   int64  `json:"began"`
	Used    int64  `json:"used"`    // the last login or refresh
	Expires int64  `json:"expires"` // unless used
	Ends    int64  `json:"ends"`    // even if used
	Remote  string `json:"remote"`  // the address of its last use
	Agent   string `json:"agent"`   // the User-Agent of its last use
	Sockets int    `json:"sockets"`
}

// logins answers GET /v1/logins with at most [store.MaxSubjectSessions]
// sessions, the oldest first.
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
	sessions, err := g.login.Sessions(ctx, q.user)
	if err != nil {
		a.failed(w, r, "admin: cannot list logins", err)
		return
	}
	sockets := map[string]int{}
	for s := range g.guard.Sockets(wsauth.Filter{Subject: q.user}) {
		sockets[s.Claims().SessionID]++
	}
	answer := AdminLogins{Logins: []AdminLogin{}}
	for _, session := range sessions {
		answer.Logins = append(answer.Logins, AdminLogin{
			SID: session.ID, Sub: session.Subject, Began: session.Began.Unix(), Used: session.Rotated.Unix(), Expires: session.Expires.Unix(), Ends: session.Ends.Unix(),
			Remote: session.Remote, Agent: session.Agent, Sockets: sockets[session.ID],
		})
	}
	problem.WriteJSON(w, answer)
}

package admin

import (
	"net/http"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/token"
)

// sockets answers GET /v1/sockets.
func (a *API) sockets(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user", "session", "token")
	if !ok {
		return
	}
	answer := adminapi.Sockets{Sockets: []adminapi.Socket{}}
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

func (a *API) socket(s *wsauth.Socket) adminapi.Socket {
	entry := adminapi.Socket{Kind: "socket", Remote: logtext.Visible(s.RemoteAddr()), Opened: s.Started().Unix()}
	if s.Followed() {
		entry.Kind = "request"
	}
	entry.Route, entry.Upstream = a.config.ServedBy(s)
	if c := s.Claims(); c != nil {
		entry.JTI, entry.SID, entry.Sub, entry.Expires = c.ID, c.SessionID, c.Subject, c.ValidUntil().Unix()
	}
	return entry
}

// maxScan is the maximum number of sockets that are examined for a page of
// sessions. A page that reaches it may be shorter than its limit.
const maxScan = 10_000

// sessions answers GET /v1/sessions.
func (a *API) sessions(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user")
	if !ok {
		return
	}
	answer := adminapi.Sessions{Sessions: []adminapi.Session{}}
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
		if sockets := a.socketsOfSession(of, s); sockets > 0 {
			entry := adminapi.Session{SID: claims.SessionID, Sub: claims.Subject, Sockets: sockets, Opened: s.Started().Unix(), Remote: logtext.Visible(s.RemoteAddr())}
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

// socketsOfSession returns the number of sockets in the session of s if s is
// the oldest of them, and 0 otherwise.
func (a *API) socketsOfSession(of wsauth.Filter, s *wsauth.Socket) int {
	n := 0
	for other := range a.config.Guard.Sockets(of) {
		if other.ID() < s.ID() {
			return 0
		}
		n++
	}
	return n
}

// storedSessions answers GET /v1/sessions/stored with at most
// [store.MaxSubjectSessions] sessions, the oldest first.
func (a *API) storedSessions(w http.ResponseWriter, r *http.Request) {
	q, ok := a.readQuery(w, r, "user")
	if !ok {
		return
	}
	if q.user == "" || q.after > 0 {
		refuse(w, r, http.StatusBadRequest, "invalid_request", "user is required, and there is only one page")
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	sessions, err := a.config.Sessions.Sessions(ctx, q.user)
	if err != nil {
		telemetry.AnswerProblem(w, r, problem.StoreFailure(a.log, "admin: cannot list sessions", err))
		return
	}
	sockets := map[string]int{}
	for s := range a.config.Guard.Sockets(wsauth.Filter{Subject: q.user}) {
		sockets[s.Claims().SessionID]++
	}
	answer := adminapi.StoredSessions{Sessions: []adminapi.StoredSession{}}
	for _, s := range sessions {
		answer.Sessions = append(answer.Sessions, adminapi.StoredSession{
			SID: s.ID, Sub: s.Subject, Started: s.Started.Unix(), Used: s.Rotated.Unix(), Expires: s.Expires.Unix(), Ends: s.Ends.Unix(),
			Remote: s.Remote, Agent: s.Agent, Sockets: sockets[s.ID],
		})
	}
	problem.WriteJSON(w, answer)
}

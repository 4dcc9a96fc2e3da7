package login

import (
	"context"
	"net/http"
	"slices"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// A sessionsAnswer lists the sessions of one user.
type sessionsAnswer struct {
	Sessions []sessionEntry `json:"sessions"`
}

// A sessionEntry is one session as its user sees it. Times are in seconds
// since 1970.
type sessionEntry struct {
	SID     string        `json:"sid"`
	Current bool          `json:"current"` // the session of this request
	Started int64         `json:"started"`
	Used    int64         `json:"used"`    // last login or refresh
	Expires int64         `json:"expires"` // unless it is refreshed before
	Remote  string        `json:"remote"`  // address of its last use
	Agent   string        `json:"agent"`   // program of its last use
	Sockets []socketEntry `json:"sockets"`
}

// A socketEntry is one open socket of a session.
type socketEntry struct {
	Opened  int64  `json:"opened"`
	Expires int64  `json:"expires"` // unless it is renewed before
	Remote  string `json:"remote"`
}

// listSessions answers GET /sessions with the sessions of the user, oldest
// first.
func (h *handlers) listSessions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, sessions, ok := h.ownSessions(ctx, w, r, h.guard)
	if !ok {
		return
	}
	sockets := h.socketsOf(claims.Subject)
	answer := sessionsAnswer{Sessions: []sessionEntry{}}
	for _, session := range sessions {
		answer.Sessions = append(answer.Sessions, sessionEntry{
			SID:     session.ID,
			Current: session.ID == claims.SessionID,
			Started: session.Started.Unix(),
			Used:    session.Rotated.Unix(),
			Expires: session.Expires.Unix(),
			Remote:  session.Remote,
			Agent:   session.Agent,
			Sockets: append([]socketEntry{}, sockets[session.ID]...),
		})
	}
	problem.WriteJSON(w, answer)
}

// ownSessions returns the claims of the access token of r, which guard checks,
// and the sessions of its user. If it cannot, it answers r and reports false.
func (h *handlers) ownSessions(ctx context.Context, w http.ResponseWriter, r *http.Request, guard *wsauth.Guard) (*token.Claims, []store.Session, bool) {
	claims, err := guard.Check(r, wsauth.Access)
	if err != nil {
		h.guard.Refuse(w, r, err)
		return nil, nil, false
	}
	sessions, err := h.sessions.list(ctx, claims.Subject)
	if err != nil {
		h.respond.storeFailed(w, r, "cannot list sessions", err)
		return nil, nil, false
	}
	return claims, sessions, true
}

// socketsOf returns the open sockets of a user, by session.
func (h *handlers) socketsOf(subject string) map[string][]socketEntry {
	bySession := map[string][]socketEntry{}
	for socket := range h.guard.Sockets(wsauth.Filter{Subject: subject}) {
		claims := socket.Claims()
		bySession[claims.SessionID] = append(bySession[claims.SessionID], socketEntry{
			Opened:  socket.Started().Unix(),
			Expires: claims.ValidUntil().Unix(),
			Remote:  logtext.Host(socket.RemoteAddr()),
		})
	}
	return bySession
}

// An endSessionAnswer contains the number of sockets that have ended.
type endSessionAnswer struct {
	Sockets int `json:"sockets"`
}

// endSession answers DELETE /sessions/{sid}: it ends one session of the user.
// If the session does not exist or belongs to another user, the answer is the
// same 404.
func (h *handlers) endSession(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, sessions, ok := h.ownSessions(ctx, w, r, h.ending)
	if !ok {
		return
	}
	sid := r.PathValue("sid")
	at := slices.IndexFunc(sessions, func(session store.Session) bool { return session.ID == sid })
	if at < 0 {
		h.respond.problem(w, r, http.StatusNotFound, "", "You have no such session")
		return
	}
	sockets, err := h.revoker.end(ctx, sessions[at].Subject, h.revoker.revocation(sessions[at]))
	if sid == claims.SessionID && store.InEffect(err) {
		h.cookies.clear(w, r)
	}
	attrs := []any{"user", logtext.Short(claims.Subject), "session", logtext.Short(sid), "sockets", sockets}
	if err = problem.Accepted(h.log, err, attrs...); err != nil {
		h.respond.storeFailed(w, r, "cannot end a session", err, attrs...)
		return
	}
	h.log.Info("session ended", append([]any{"reason", "by_user"}, attrs...)...)
	problem.WriteJSON(w, endSessionAnswer{sockets})
}

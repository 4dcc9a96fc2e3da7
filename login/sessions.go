package login

import (
	"context"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// session answers GET /session with the claims of the access token, as rules
// and upstreams see them.
func (s *Service) session(w http.ResponseWriter, r *http.Request) {
	claims, err := s.guard.Check(r, wsauth.Access)
	if err != nil {
		s.guard.Refuse(w, r, err)
		return
	}
	problem.WriteJSON(w, jsontext.Value(claims.Payload()))
}

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
	Expires int64         `json:"expires"` // unless it is used before
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

// sessions answers GET /sessions with the sessions of the user, the oldest
// first.
func (s *Service) sessions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, sessions, ok := s.ownSessions(ctx, w, r, s.guard)
	if !ok {
		return
	}
	sockets := s.socketsOf(claims.Subject)
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
func (s *Service) ownSessions(ctx context.Context, w http.ResponseWriter, r *http.Request, guard *wsauth.Guard) (*token.Claims, []store.Session, bool) {
	claims, err := guard.Check(r, wsauth.Access)
	if err != nil {
		s.guard.Refuse(w, r, err)
		return nil, nil, false
	}
	sessions, err := s.Sessions(ctx, claims.Subject)
	if err != nil {
		s.storeFailed(w, r, "cannot list sessions", err)
		return nil, nil, false
	}
	return claims, sessions, true
}

// Sessions returns the sessions of a user, the oldest first, without those
// that were ended by a revocation of all sessions, which the store keeps until
// they expire. They are at most [store.MaxSubjectSessions].
func (s *Service) Sessions(ctx context.Context, subject string) ([]store.Session, error) {
	sessions, err := s.store.ListSessions(ctx, subject)
	if err != nil {
		return nil, err
	}
	live := sessions[:0]
	for _, session := range sessions {
		revoked, err := s.guard.Revoked(ctx, &token.Claims{Subject: session.Subject, SessionID: session.ID, IssuedAt: session.Rotated})
		if err != nil {
			return nil, err
		}
		if !revoked {
			live = append(live, session)
		}
	}
	return live, nil
}

// sessionOf returns the session of a token, or [store.ErrNotFound].
func (s *Service) sessionOf(ctx context.Context, claims *token.Claims) (store.Session, error) {
	sessions, err := s.store.ListSessions(ctx, claims.Subject)
	if err != nil {
		return store.Session{}, err
	}
	at := slices.IndexFunc(sessions, func(session store.Session) bool { return session.ID == claims.SessionID })
	if at < 0 {
		return store.Session{}, store.ErrNotFound
	}
	return sessions[at], nil
}

// socketsOf returns the open sockets of a user, by session.
func (s *Service) socketsOf(subject string) map[string][]socketEntry {
	bySession := map[string][]socketEntry{}
	for socket := range s.guard.Sockets(wsauth.Filter{Subject: subject}) {
		claims := socket.Claims()
		bySession[claims.SessionID] = append(bySession[claims.SessionID], socketEntry{
			Opened:  socket.Started().Unix(),
			Expires: claims.ValidUntil().Unix(),
			Remote:  logtext.Host(socket.RemoteAddr()),
		})
	}
	return bySession
}

// An endSessionAnswer counts what has ended.
type endSessionAnswer struct {
	Sockets int `json:"sockets"`
}

// endOne answers DELETE /sessions/{sid}: it ends one session of the user. It
// answers 404 if there is none of that name, and the same if it is another
// user's.
func (s *Service) endOne(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, sessions, ok := s.ownSessions(ctx, w, r, s.ending)
	if !ok {
		return
	}
	sid := r.PathValue("sid")
	at := slices.IndexFunc(sessions, func(session store.Session) bool { return session.ID == sid })
	if at < 0 {
		s.problem(w, r, http.StatusNotFound, "", "You have no such session")
		return
	}
	sockets, err := s.endSession(ctx, sessions[at])
	if sid == claims.SessionID && hasEnded(err) {
		s.cookies.clear(w, r)
	}
	attrs := []any{"user", logtext.Short(claims.Subject), "session", logtext.Short(sid), "sockets", sockets}
	if err != nil {
		s.storeFailed(w, r, "cannot end a session", err, attrs...)
		return
	}
	s.log.Info("session ended", append([]any{"reason", "by_user"}, attrs...)...)
	problem.WriteJSON(w, endSessionAnswer{sockets})
}

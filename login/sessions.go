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
	Began   int64         `json:"began"`
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
	ctx, cancel := storing(r)
	defer cancel()
	claims, families, ok := s.ownSessions(ctx, w, r, s.guard)
	if !ok {
		return
	}
	sockets := s.socketsOf(claims.Subject)
	answer := sessionsAnswer{Sessions: []sessionEntry{}}
	for _, f := range families {
		answer.Sessions = append(answer.Sessions, sessionEntry{
			SID:     f.ID,
			Current: f.ID == claims.SessionID,
			Began:   f.Began.Unix(),
			Used:    f.Rotated.Unix(),
			Expires: f.Expires.Unix(),
			Remote:  f.Remote,
			Agent:   f.Agent,
			Sockets: append([]socketEntry{}, sockets[f.ID]...),
		})
	}
	problem.WriteJSON(w, answer)
}

// ownSessions returns the claims of the access token of r, which guard checks,
// and the sessions of its user. If it cannot, it answers r and reports false.
func (s *Service) ownSessions(ctx context.Context, w http.ResponseWriter, r *http.Request, guard *wsauth.Guard) (*token.Claims, []store.Family, bool) {
	claims, err := guard.Check(r, wsauth.Access)
	if err != nil {
		s.guard.Refuse(w, r, err)
		return nil, nil, false
	}
	families, err := s.Sessions(ctx, claims.Subject)
	if err != nil {
		s.unavailable(w, r, "cannot list sessions", err)
		return nil, nil, false
	}
	return claims, families, true
}

// Sessions returns the sessions of a user, the oldest first, without those
// that were ended by a revocation of all sessions, which the store keeps until
// they expire. They are at most [store.MaxFamilies].
func (s *Service) Sessions(ctx context.Context, subject string) ([]store.Family, error) {
	families, err := s.store.ListFamilies(ctx, subject)
	if err != nil {
		return nil, err
	}
	live := families[:0]
	for _, f := range families {
		revoked, err := s.guard.Revoked(ctx, &token.Claims{Subject: f.Subject, SessionID: f.ID, IssuedAt: f.Rotated})
		if err != nil {
			return nil, err
		}
		if !revoked {
			live = append(live, f)
		}
	}
	return live, nil
}

// familyOf returns the session of a token, or [store.ErrNotFound].
func (s *Service) familyOf(ctx context.Context, claims *token.Claims) (store.Family, error) {
	families, err := s.store.ListFamilies(ctx, claims.Subject)
	if err != nil {
		return store.Family{}, err
	}
	at := slices.IndexFunc(families, func(f store.Family) bool { return f.ID == claims.SessionID })
	if at < 0 {
		return store.Family{}, store.ErrNotFound
	}
	return families[at], nil
}

// socketsOf returns the open sockets of a user, by session.
func (s *Service) socketsOf(subject string) map[string][]socketEntry {
	bySession := map[string][]socketEntry{}
	for _, socket := range s.guard.Sessions(subject) {
		claims := socket.Claims()
		bySession[claims.SessionID] = append(bySession[claims.SessionID], socketEntry{
			Opened:  socket.Begun().Unix(),
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
	ctx, cancel := storing(r)
	defer cancel()
	claims, families, ok := s.ownSessions(ctx, w, r, s.ending)
	if !ok {
		return
	}
	sid := r.PathValue("sid")
	at := slices.IndexFunc(families, func(f store.Family) bool { return f.ID == sid })
	if at < 0 {
		s.problem(w, r, http.StatusNotFound, "", "You have no such session")
		return
	}
	sockets, err := s.endFamily(ctx, families[at])
	if sid == claims.SessionID && hasEnded(err) {
		s.clearCookies(w, r)
	}
	attrs := []any{"user", logtext.Short(claims.Subject), "session", logtext.Short(sid), "sockets", sockets}
	if err != nil {
		s.cannotEnd(w, r, "cannot end a session", err, attrs...)
		return
	}
	s.log.Info("session ended", append([]any{"reason", "by_user"}, attrs...)...)
	problem.WriteJSON(w, endSessionAnswer{sockets})
}

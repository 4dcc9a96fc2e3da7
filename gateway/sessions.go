package gateway

import (
	"context"
	"net/http"
	"slices"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// A sessionsAnswer lists the sessions of one user.
type sessionsAnswer struct {
	Sessions []sessionEntry `json:"sessions"`
}

// A sessionEntry is one session as its user sees it. Moments are in seconds since 1970.
type sessionEntry struct {
	SID     string        `json:"sid"`
	Current bool          `json:"current"` // the one that asks
	Began   int64         `json:"began"`
	Used    int64         `json:"used"`    // logged in or refreshed last
	Expires int64         `json:"expires"` // unless it is used before
	Remote  string        `json:"remote"`  // where it was used last: an address
	Agent   string        `json:"agent"`   // and a program
	Sockets []socketEntry `json:"sockets"`
}

// A socketEntry is one open socket of a session.
type socketEntry struct {
	Opened  int64  `json:"opened"`
	Expires int64  `json:"expires"` // unless it is renewed before
	Remote  string `json:"remote"`
}

// sessions answers GET /auth/sessions with the sessions of the user, the oldest first.
func (g *Gateway) sessions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := storing(r)
	defer cancel()
	claims, families, ok := g.ownSessions(ctx, w, r, g.guard)
	if !ok {
		return
	}
	sockets := g.socketsOf(claims.Subject)
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
	writeJSON(w, answer)
}

// ownSessions finds who asks, by an access token that guard accepts, and the
// sessions of that user, the oldest first. Unless it can, it answers why not,
// and reports false.
func (g *Gateway) ownSessions(ctx context.Context, w http.ResponseWriter, r *http.Request, guard *wsauth.Guard) (*token.Claims, []store.Family, bool) {
	claims, err := guard.Check(r, wsauth.Access)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return nil, nil, false
	}
	families, err := g.logins(ctx, claims.Subject)
	if err != nil {
		g.unavailable(w, r, "cannot list sessions", err)
		return nil, nil, false
	}
	return claims, families, true
}

// logins are the sessions of a user, the oldest first, without those that a revocation of everything has ended, which the store keeps
// until they expire.
func (g *Gateway) logins(ctx context.Context, name string) ([]store.Family, error) {
	families, err := g.store.ListFamilies(ctx, name)
	if err != nil {
		return nil, err
	}
	live := families[:0]
	for _, f := range families {
		revoked, err := g.guard.Revoked(ctx, &token.Claims{Subject: f.Subject, SessionID: f.ID, IssuedAt: f.Rotated})
		if err != nil {
			return nil, err
		}
		if !revoked {
			live = append(live, f)
		}
	}
	return live, nil
}

// socketsOf finds the open sockets of a user, by session.
func (g *Gateway) socketsOf(name string) map[string][]socketEntry {
	bySession := map[string][]socketEntry{}
	for _, s := range g.guard.Sessions(name) {
		claims := s.Claims()
		bySession[claims.SessionID] = append(bySession[claims.SessionID], socketEntry{
			Opened:  s.Begun().Unix(),
			Expires: claims.ValidUntil().Unix(),
			Remote:  host(s.RemoteAddr()),
		})
	}
	return bySession
}

// An endSessionAnswer counts what has ended.
type endSessionAnswer struct {
	Sockets int `json:"sockets"`
}

// endOne answers DELETE /auth/sessions/{sid}: one session of the user ends. It is 404 when there is none of that name, and no
// other when it is somebody else's.
func (g *Gateway) endOne(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := storing(r)
	defer cancel()
	claims, families, ok := g.ownSessions(ctx, w, r, g.ending)
	if !ok {
		return
	}
	sid := r.PathValue("sid")
	at := slices.IndexFunc(families, func(f store.Family) bool { return f.ID == sid })
	if at < 0 {
		problemHandler(http.StatusNotFound, "", "You have no such session")(w, r)
		return
	}
	sockets, err := g.endSession(ctx, families[at])
	if err != nil {
		if sid == claims.SessionID {
			g.clearEnded(w, r, err)
		}
		g.cannotEnd(w, r, "cannot end a session", err, "user", printable(claims.Subject), "session", printable(sid), "sockets", sockets)
		return
	}
	g.log.Info("session ended", "reason", "by_user", "user", printable(claims.Subject), "session", printable(sid), "sockets", sockets)
	if sid == claims.SessionID {
		g.clearCookies(w, r)
	}
	writeJSON(w, endSessionAnswer{sockets})
}

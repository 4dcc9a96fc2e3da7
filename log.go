package wsauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"wsauth/internal/logtext"
)

// This file has the log lines of the guard, and the matching calls of its
// observer. A line may contain the address of a request, the user and the
// session of a verified token (truncated), and the kid of any other token
// (quoted and truncated). slog escapes all of them.

func (g *Guard) reportRefusal(r *http.Request, e *Error) {
	if g.logs() {
		g.log("refused",
			slog.String("reason", string(e.Reason)),
			slog.String("remote", g.client(r).Addr),
			slog.Any("error", e))
	}
	g.config.Observer.Refused(r, e)
}

func (g *Guard) reportOpened(s *Socket) {
	if g.logs() {
		g.log("socket opened", s.withUser(slog.String("remote", s.remote))...)
	}
	g.config.Observer.Opened(s)
}

func (g *Guard) reportEnded(s *Socket, e *EndError) {
	g.logEnd("socket ended", s, e)
	g.config.Observer.Ended(s, e)
}

func (g *Guard) logEnd(message string, s *Socket, e *EndError) {
	if !g.logs() {
		return
	}
	attrs := []slog.Attr{
		slog.String("reason", string(e.Reason)),
		slog.Int("code", e.Code),
		slog.String("remote", s.remote),
		slog.Duration("lifetime", time.Since(s.started)),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	g.log(message, s.withUser(attrs...)...)
}

// logAuthenticated logs the user of a socket that was opened anonymously.
func (s *Socket) logAuthenticated() {
	if s.guard.logs() {
		s.guard.log("socket authenticated", s.withUser(slog.String("remote", s.remote))...)
	}
}

// withUser appends the user and the session of the claims to attrs.
func (s *Socket) withUser(attrs ...slog.Attr) []slog.Attr {
	claims := s.Claims()
	if claims == nil {
		return attrs
	}
	if claims.Subject != "" {
		attrs = append(attrs, slog.String("user", logtext.Short(claims.Subject)))
	}
	if claims.SessionID != "" {
		attrs = append(attrs, slog.String("session", logtext.Short(claims.SessionID)))
	}
	return attrs
}

// logs reports whether logging is enabled, so that attributes are built only
// then.
func (g *Guard) logs() bool {
	return g.config.Logger.Enabled(context.Background(), slog.LevelInfo)
}

func (g *Guard) log(message string, attrs ...slog.Attr) {
	g.config.Logger.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}

package wsauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"wsauth/internal/logtext"
)

// The guard's log lines, and what its observer is told with them. Of a request
// they hold the address that it came from, of a token that was verified the
// user and the session, cut, and of another one the kid, quoted and cut. slog
// escapes all of them.

func (g *Guard) tellRefusal(r *http.Request, e *Error) {
	g.log("refused",
		slog.String("reason", string(e.Reason)),
		slog.String("remote", g.client(r).Addr),
		slog.Any("error", e))
	g.config.Observer.Refused(r, e)
}

// The stages of a session, as the observer hears of them.
const (
	stageNew     = iota
	stageOpening // the observer is being told that it is open
	stageOpen
	stageEnded
)

// tellOpen tells that a socket is open, unless it has ended before.
func (s *Socket) tellOpen() {
	if s.end.Load() != nil || !s.stage.CompareAndSwap(stageNew, stageOpening) {
		return
	}
	s.guard.log("socket opened", s.with(slog.String("remote", s.remote))...)
	s.guard.config.Observer.Opened(s)
	if !s.stage.CompareAndSwap(stageOpening, stageOpen) {
		s.guard.tellEnd(s, s.end.Load()) // it has ended meanwhile
	}
}

// tellEnd tells that a socket has ended, if it was open.
func (s *Socket) tellEnd(e *EndError) {
	if s.stage.Swap(stageEnded) == stageOpen {
		s.guard.tellEnd(s, e)
	}
}

// An opener is a session whose handler has yet to open its socket.
type opener Socket

// Open is called when it does.
func (o *opener) Open() { (*Socket)(o).tellOpen() }

func (g *Guard) tellEnd(s *Socket, e *EndError) {
	g.logEnd("socket ended", s, e)
	g.config.Observer.Ended(s, e)
}

func (g *Guard) logEnd(message string, s *Socket, e *EndError) {
	attrs := []slog.Attr{
		slog.String("reason", e.Reason),
		slog.Int("code", e.Code),
		slog.String("remote", s.remote),
		slog.Duration("lifetime", time.Since(s.begun)),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	g.log(message, s.with(attrs...)...)
}

// tellAuthenticated tells that the client of an open socket has said who it
// is, after the line that it was opened.
func (s *Socket) tellAuthenticated() {
	s.guard.log("socket authenticated", s.with(slog.String("remote", s.remote))...)
}

// with returns attributes with the user and the session that the claims name,
// fit for a line.
func (s *Socket) with(attrs ...slog.Attr) []slog.Attr {
	claims := s.Claims()
	if claims == nil || !s.guard.logs() {
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

// logs reports whether anybody reads the lines.
func (g *Guard) logs() bool {
	return g.config.Logger.Enabled(context.Background(), slog.LevelInfo)
}

func (g *Guard) log(message string, attrs ...slog.Attr) {
	g.config.Logger.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}

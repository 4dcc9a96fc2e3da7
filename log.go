package wsauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// The guard's log lines, and what its observer is told with them. Of a request they hold the address that it came from,
// and of a token that no key made its kid, quoted and cut; slog escapes both.

func (g *Guard) tellRefusal(r *http.Request, e *Error) {
	g.log("refused",
		slog.String("reason", string(e.Reason)),
		slog.String("remote", g.client(r).Addr),
		slog.String("error", e.Error()))
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
func (s *Session) tellOpen() {
	if s.end.Load() != nil || !s.stage.CompareAndSwap(stageNew, stageOpening) {
		return
	}
	s.guard.log("socket opened", slog.String("remote", s.remote))
	s.guard.config.Observer.Opened(s)
	if !s.stage.CompareAndSwap(stageOpening, stageOpen) {
		s.guard.tellEnd(s, s.end.Load()) // it has ended meanwhile
	}
}

// tellEnd tells that a socket has ended, if it was open.
func (s *Session) tellEnd(e *EndError) {
	if s.stage.Swap(stageEnded) == stageOpen {
		s.guard.tellEnd(s, e)
	}
}

// An opener is a session whose handler has yet to open its socket.
type opener Session

// Open is called when it does.
func (o *opener) Open() { (*Session)(o).tellOpen() }

func (g *Guard) tellEnd(s *Session, e *EndError) {
	g.logEnd("socket ended", s, e)
	g.config.Observer.Ended(s, e)
}

func (g *Guard) logEnd(message string, s *Session, e *EndError) {
	g.log(message,
		slog.String("reason", e.Reason),
		slog.Int("code", e.Code),
		slog.String("remote", s.remote),
		slog.String("error", e.Error()),
		slog.Duration("lifetime", time.Since(s.begun)))
}

func (g *Guard) log(message string, attrs ...slog.Attr) {
	g.config.Logger.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}

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
		slog.String("remote", r.RemoteAddr),
		slog.String("error", e.Error()))
	g.config.Observer.Refused(r, e)
}

func (g *Guard) tellOpen(s *Session) {
	g.log("socket opened", slog.String("remote", s.remote))
	g.config.Observer.Opened(s)
}

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

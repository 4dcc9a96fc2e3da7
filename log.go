package wsauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// The guard's log lines. Of a request they hold the address that it came from,
// and of a token that no key made its kid, quoted and cut; slog escapes both.

func (g *Guard) logRefusal(r *http.Request, e *Error) {
	g.log("refused",
		slog.String("reason", string(e.Reason)),
		slog.String("remote", r.RemoteAddr),
		slog.String("error", e.Error()))
}

func (g *Guard) logOpen(s *Session) {
	g.log("socket opened", slog.String("remote", s.remote))
}

func (g *Guard) logEnd(s *Session, e *EndError) {
	g.log("socket ended",
		slog.String("reason", e.Reason),
		slog.Int("code", e.Code),
		slog.String("remote", s.remote),
		slog.String("error", e.Error()),
		slog.Duration("lifetime", time.Since(s.begun)))
}

func (g *Guard) log(message string, attrs ...slog.Attr) {
	g.config.Logger.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}

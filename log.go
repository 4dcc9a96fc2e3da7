package wsauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/logtext"
	"wsauth/token"
)

// A reporter writes the log lines of a guard, and calls its observer. A line
// may contain the address of a request, the user and the session of a verified
// token (truncated), and the kid of any other token (quoted and truncated).
// slog escapes all of them.
type reporter struct {
	observer Observer
	logger   *slog.Logger
	proxies  *forwarded.Policy
}

func (p *reporter) refused(r *http.Request, e *Error) {
	if p.logs() {
		p.log("refused",
			slog.String("reason", string(e.Reason)),
			slog.String("remote", p.proxies.Of(r).Addr),
			slog.Any("error", e))
	}
	p.observer.Refused(r, e)
}

func (p *reporter) opened(s *Socket) {
	p.logSocket("socket opened", s)
	p.observer.Opened(s)
}

// authenticated logs the user of a socket that was opened anonymously.
func (p *reporter) authenticated(s *Socket) { p.logSocket("socket authenticated", s) }

func (p *reporter) ended(s *Socket, e *EndError) {
	p.logEnd("socket ended", s, e)
	p.observer.Ended(s, e)
}

func (p *reporter) logEnd(message string, s *Socket, e *EndError) {
	if !p.logs() {
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
	p.log(message, appendUser(attrs, s.Claims())...)
}

func (p *reporter) logSocket(message string, s *Socket) {
	if p.logs() {
		p.log(message, appendUser([]slog.Attr{slog.String("remote", s.remote)}, s.Claims())...)
	}
}

// appendUser appends the user and the session of claims, which may be nil.
func appendUser(attrs []slog.Attr, claims *token.Claims) []slog.Attr {
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
func (p *reporter) logs() bool { return p.logger.Enabled(context.Background(), slog.LevelInfo) }

func (p *reporter) log(message string, attrs ...slog.Attr) {
	p.logger.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}

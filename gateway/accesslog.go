package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/relay"
	"wsauth/token"
)

// A line is what the access log says of a request: nothing that could be a credential, so no query, no cookie and no other header but
// User-Agent, which is cut. All of it is escaped by slog. A nil line says nothing.
type line struct {
	method, host, path, proto, remote, agent, user, session string
}

func newLine(r *http.Request) *line {
	return &line{
		method: printable(r.Method),
		host:   printable(r.Host),
		path:   printablePath(r.URL.Path),
		proto:  r.Proto,
		remote: r.RemoteAddr,
		agent:  printable(r.UserAgent()),
	}
}

// maxLoggedPath is how much of a path is logged.
const maxLoggedPath = 256

// jws is what has the form of a token, however its dots are escaped. It has no place in a path, and whoever puts it there has not meant it
// for the log.
var jws = regexp.MustCompile(`[A-Za-z0-9_-]{8,}=*(?:\.|%(?:25)*2[Ee])[A-Za-z0-9_-]{8,}(?:=*(?:\.|%(?:25)*2[Ee])[A-Za-z0-9_-]*)+`)

func printablePath(path string) string {
	path = jws.ReplaceAllString(path, "[token]")
	return visible(logtext.Cut(path, maxLoggedPath))
}

// known records the claims of a request; nil is none.
func (l *line) known(claims *token.Claims) {
	if l != nil && claims != nil {
		l.user, l.session = printable(claims.Subject), printable(claims.SessionID)
	}
}

// answered logs a plain request. Whoever asks whether the server is well, asks all the time.
func (l *line) answered(x *record) {
	if l == nil {
		return
	}
	level := slog.LevelInfo
	if isHealth(l.path) {
		level = slog.LevelDebug
	}
	l.request(level, x, string(x.reason), x.status, slog.Int64("bytes", x.bytes))
}

// handshake logs the outcome of a handshake.
func (l *line) handshake(x *record, reason string, status int) {
	if l != nil {
		l.request(slog.LevelInfo, x, reason, status)
	}
}

// requestLine is the message of a line of the access log, and statusKey the
// attribute with the status of the answer.
const (
	requestLine = "request"
	statusKey   = "status"
)

func (l *line) request(level slog.Level, x *record, reason string, status int, more ...slog.Attr) {
	attrs := append(l.attrs(x, reason),
		slog.String("method", l.method),
		slog.String("proto", l.proto),
		slog.String("agent", l.agent),
		slog.Duration("duration", time.Since(x.begun)))
	if status != 0 { // the client was gone before there was one
		attrs = append(attrs, slog.Int(statusKey, status))
	}
	x.gateway.log.LogAttrs(context.Background(), level, requestLine, append(attrs, more...)...)
}

// ended logs the end of a socket.
func (l *line) ended(x *record, end *wsauth.EndError, result relay.Result) {
	if l == nil {
		return
	}
	x.gateway.log.LogAttrs(context.Background(), slog.LevelInfo, "socket", append(l.attrs(x, endReason(end, result)),
		slog.Int("code", end.Code),
		slog.String("by", result.By.String()),
		slog.Duration("lifetime", time.Since(x.begun)),
		slog.Int64("client_bytes", result.FromClient.Bytes),
		slog.Int64("client_messages", result.FromClient.Messages),
		slog.Int64("upstream_bytes", result.FromUpstream.Bytes),
		slog.Int64("upstream_messages", result.FromUpstream.Messages))...)
}

// attrs are what every line has.
func (l *line) attrs(x *record, reason string) []slog.Attr {
	all := []slog.Attr{
		slog.String("route", x.route.name),
		slog.String("host", l.host),
		slog.String("path", l.path),
		slog.String("remote", l.remote),
	}
	if l.user != "" {
		all = append(all, slog.String("user", l.user))
	}
	if l.session != "" {
		all = append(all, slog.String("session", l.session))
	}
	if reason != "" {
		all = append(all, slog.String("reason", reason))
	}
	return all
}

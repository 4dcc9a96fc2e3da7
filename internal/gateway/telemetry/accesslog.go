package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"wsauth/internal/logtext"
	"wsauth/internal/relay"
	"wsauth/token"
)

// A line holds the fields of a request that the access log contains. They hold
// no credentials: the query and all headers except User-Agent, cookies
// included, are left out, and User-Agent is truncated. slog escapes the fields.
// The methods of a nil line do nothing.
type line struct {
	method, host, path, proto, remote, agent, user, session string
}

func newLine(r *http.Request) *line {
	return &line{
		method: logtext.Short(r.Method),
		host:   logtext.Short(r.Host),
		path:   loggedPath(r.URL.Path),
		proto:  r.Proto,
		remote: r.RemoteAddr,
		agent:  logtext.Short(r.UserAgent()),
	}
}

// maxLoggedPath is the maximum length of a logged path, in bytes.
const maxLoggedPath = 256

// jws matches text in the form of a signed token, even if its dots are
// percent-encoded once or several times. A token in a path is a client's
// mistake and must not reach the log.
var jws = regexp.MustCompile(`[A-Za-z0-9_-]{8,}=*(?:\.|%(?:25)*2[Ee])[A-Za-z0-9_-]{8,}(?:=*(?:\.|%(?:25)*2[Ee])[A-Za-z0-9_-]*)+`)

// loggedPath returns a path truncated, without tokens and without invisible
// characters.
func loggedPath(path string) string {
	path = jws.ReplaceAllString(path, "[token]")
	return logtext.Visible(logtext.Cut(path, maxLoggedPath))
}

// setClaims sets the user and the session. Nil claims are ignored.
func (l *line) setClaims(claims *token.Claims) {
	if l != nil && claims != nil {
		l.user, l.session = logtext.Short(claims.Subject), logtext.Short(claims.SessionID)
	}
}

// response logs a plain request. Health checks are frequent, so they are
// logged at debug level.
func (l *line) response(x *Record) {
	if l == nil {
		return
	}
	level := slog.LevelInfo
	if IsHealth(l.path) {
		level = slog.LevelDebug
	}
	l.request(level, x, x.reason, x.status, slog.Int64("bytes", x.bytes))
}

// handshake logs the outcome of a handshake.
func (l *line) handshake(x *Record, reason string, status int) {
	if l != nil {
		l.request(slog.LevelInfo, x, reason, status)
	}
}

// requestLine is the message of a request in the access log, and statusKey the
// attribute with the status of its response.
const (
	requestLine = "request"
	statusKey   = "status"
)

func (l *line) request(level slog.Level, x *Record, reason string, status int, more ...slog.Attr) {
	attrs := append(l.attrs(x, reason),
		slog.String("method", l.method),
		slog.String("proto", l.proto),
		slog.String("agent", l.agent),
		slog.Duration("duration", time.Since(x.started)))
	if status != 0 { // 0 if the client disconnected before the response
		attrs = append(attrs, slog.Int(statusKey, status))
	}
	x.recorder.log.LogAttrs(context.Background(), level, requestLine, append(attrs, more...)...)
}

// socket logs the end of a socket.
func (l *line) socket(x *Record, code int, reason string, result relay.Result) {
	if l == nil {
		return
	}
	x.recorder.log.LogAttrs(context.Background(), slog.LevelInfo, "socket", append(l.attrs(x, reason),
		slog.Int("code", code),
		slog.String("by", result.By.String()),
		slog.Duration("lifetime", time.Since(x.started)),
		slog.Int64("client_bytes", result.FromClient.Bytes),
		slog.Int64("client_messages", result.FromClient.Messages),
		slog.Int64("upstream_bytes", result.FromUpstream.Bytes),
		slog.Int64("upstream_messages", result.FromUpstream.Messages))...)
}

// attrs returns the attributes that all lines have in common.
func (l *line) attrs(x *Record, reason string) []slog.Attr {
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

package telemetry

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net/http"

	"wsauth/internal/asynclog"
)

// auditLines are the log messages that record logins, revocations, the actions
// of operators, and when the server starts and stops.
var auditLines = map[string]bool{
	"logged in":                         true,
	"logged out":                        true,
	"logged out everywhere":             true,
	"stepped up":                        true,
	"session ended":                     true,
	"ended by its provider":             true,
	"user changed":                      true,
	"users read":                        true,
	"configuration read":                true,
	"keys read":                         true,
	"admin: revoked":                    true,
	"admin: draining":                   true,
	"stopping":                          true,
	"stopped":                           true,
	"listening":                         true,
	"certificate read":                  true,
	"the first key was generated":       true,
	"operators are served":              true,
	"insecure":                          true,
	"the operators' token was replaced": true,
}

// refusalLines are the log messages that any client on the network can cause.
var refusalLines = map[string]bool{
	"refused":           true,
	"login refused":     true,
	"login failed":      true,
	"ticket refused":    true,
	"statement refused": true,
	"admin: refused":    true,
}

// Classify returns the class of a line in the gateway's log, which determines
// the quota that it counts against. An access log line with an error status is
// a refusal.
func Classify(r slog.Record) asynclog.Class {
	switch {
	case auditLines[r.Message]:
		return asynclog.Audit
	case refusalLines[r.Message]:
		return asynclog.Refusal
	case r.Message != requestLine:
		return asynclog.Ordinary
	}
	class := asynclog.Ordinary
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == statusKey && a.Value.Kind() == slog.KindInt64 && a.Value.Int64() >= http.StatusBadRequest {
			class = asynclog.Refusal
			return false
		}
		return true
	})
	return class
}

// NewServerLog returns the error log of an [http.Server], which writes to l.
func NewServerLog(l *slog.Logger) *log.Logger { return log.New(serverLog{l}, "", 0) }

type serverLog struct{ log *slog.Logger }

// Write logs one line. Failed TLS handshakes are logged at debug level: port
// scanners and health checks cause many of them.
func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

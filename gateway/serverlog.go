package gateway

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newServerLog returns the error log of an http.Server.
func newServerLog(to *slog.Logger) *log.Logger { return log.New(serverLog{to}, "", 0) }

type serverLog struct{ to *slog.Logger }

// Write logs one line. Failed TLS handshakes are logged at debug level: port
// scanners and health checks cause many of them.
func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.to.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

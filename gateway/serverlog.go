package gateway

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newServerLog is where an http.Server says what goes wrong on connections.
func newServerLog(to *slog.Logger) *log.Logger { return log.New(serverLog{to}, "", 0) }

type serverLog struct{ to *slog.Logger }

// Write logs one line. Whoever connects and speaks no TLS, as those do that look for open ports or whether the server is there, makes one,
// which nobody wants to read.
func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.to.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

package telemetry

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsauth/internal/asynclog"
)

func TestClassify(t *testing.T) {
	for message, want := range map[string]asynclog.Class{
		"logged in": asynclog.Audit, "logged out everywhere": asynclog.Audit, "admin: revoked": asynclog.Audit,
		"refused": asynclog.Refusal, "login failed": asynclog.Refusal, "socket opened": asynclog.Ordinary, "request": asynclog.Ordinary,
	} {
		if got := Classify(slog.NewRecord(time.Now(), slog.LevelInfo, message, 0)); got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
	for status, want := range map[int]asynclog.Class{101: asynclog.Ordinary, 200: asynclog.Ordinary, 401: asynclog.Refusal, 503: asynclog.Refusal} {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, requestLine, 0)
		r.AddAttrs(slog.String("reason", "x"), slog.Int(statusKey, status))
		if got := Classify(r); got != want {
			t.Errorf("a request with status %d: %s, want %s", status, got, want)
		}
	}
}

// TestClassifiedLinesExist checks that the code logs each message that has a
// class: a reworded message would silently lose its class.
func TestClassifiedLinesExist(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"", "idp", "login", "cmd/wsauth", "internal/server", "token/keyring", "internal/gateway", "internal/gateway/*"} {
		files, err := filepath.Glob(filepath.Join("../../..", pattern, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "telemetry/log.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, lines := range []map[string]bool{auditLines, refusalLines} {
		for message := range lines {
			if !strings.Contains(source.String(), `("`+message+`"`) {
				t.Errorf("nothing logs %q", message)
			}
		}
	}
}

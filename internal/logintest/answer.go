package logintest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// An Answer is an answer whose body has been read.
type Answer struct {
	*http.Response
	Text string // of the body
}

// Recorded returns the answer in a recorder.
func Recorded(w *httptest.ResponseRecorder) Answer { return Answer{w.Result(), w.Body.String()} }

// Decode decodes the body, which must be JSON.
func (a Answer) Decode(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.Text), &v); err != nil {
		t.Fatalf("body %q: %v", a.Text, err)
	}
	return v
}

// WantProblem checks that the answer is a problem document with this status and
// reason, and that its detail contains detail.
func (a Answer) WantProblem(t *testing.T, status int, reason, detail string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d; body %s", a.StatusCode, status, a.Text)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	v := a.Decode(t)
	if v["status"] != float64(status) || v["title"] != http.StatusText(status) {
		t.Errorf("status and title in %s do not say %d", a.Text, status)
	}
	if got, _ := v["reason"].(string); got != reason {
		t.Errorf("reason %q, want %q", got, reason)
	}
	if got, _ := v["detail"].(string); !strings.Contains(got, detail) || got == "" {
		t.Errorf("detail %q, want %q in it", got, detail)
	}
}

// WantEnded checks that the answer refuses a token because its session has
// ended.
func (a Answer) WantEnded(t *testing.T) {
	t.Helper()
	if reason := a.Decode(t)["reason"]; a.StatusCode != http.StatusUnauthorized || reason != "token_revoked" && reason != "session_ended" {
		t.Errorf("a token of an ended session: %d %s", a.StatusCode, a.Text)
	}
}

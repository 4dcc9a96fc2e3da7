package demo

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAuthenticate(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		want           bool
	}{{"test", "test", true}, {"test", "", false}, {"", "test", false}, {"test", "Test", false}, {"tes", "ttest", false}} {
		if got, err := (Users{}).Authenticate(t.Context(), tt.name, tt.password); got != tt.want || err != nil {
			t.Errorf("%q, %q: %v, %v", tt.name, tt.password, got, err)
		}
	}
}

// TestUnannounced checks that the server serves only announced handshakes.
func TestUnannounced(t *testing.T) {
	s := Start()
	defer s.Close()
	name, value := s.Announce(t.Context())
	if s.take(value) == nil || s.take(value) != nil {
		t.Error("an announced handshake is not taken once")
	}
	for _, value := range []string{"", value} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%q: status %d", value, w.Code)
		}
	}
}

package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth/store"
)

func TestWrite(t *testing.T) {
	for name, tt := range map[string]struct {
		d    Document
		want map[string]any
	}{
		"reason": {Document{Status: 401, Detail: "Missing", Reason: "token_missing"}, map[string]any{"title": "Unauthorized", "status": 401.0, "detail": "Missing", "reason": "token_missing"}},
		"none":   {Document{Title: "ignored", Status: 404, Detail: "Nothing here"}, map[string]any{"title": "Not Found", "status": 404.0, "detail": "Nothing here"}},
		"ended": {
			Document{Status: 503, Detail: "Later", Ended: new(true), Durable: new(false)},
			map[string]any{"title": "Service Unavailable", "status": 503.0, "detail": "Later", "ended": true, "durable": false},
		},
		"not UTF-8": {Document{Status: 400, Detail: "\xff", Reason: "x"}, map[string]any{"title": "Bad Request", "status": 400.0, "detail": "", "reason": "internal_error"}},
	} {
		t.Run(name, func(t *testing.T) {
			response := New(tt.d)
			for range 2 { // the same result each time
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "text/html")
				response.Write(w)
				var got map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				want := http.Header{
					"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
					"Content-Length": {strconv.Itoa(w.Body.Len())},
				}
				if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != tt.d.Status {
					t.Error(w.Code, diff)
				}
			}
		})
	}
}

// TestRetryAfter checks that a delay is rounded up to whole seconds.
func TestRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "", -time.Second: "", time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60",
	} {
		w := httptest.NewRecorder()
		New(TooMany(wait, "Later")).Write(w)
		if got := w.Header().Get("Retry-After"); got != want || w.Code != 429 {
			t.Errorf("%v: %d, Retry-After %q, want %q", wait, w.Code, got, want)
		}
	}
}

// TestNewMux checks that an endpoint answers its method, and HEAD if that is
// GET. Any other path or spelling is 404, without a redirect.
func TestNewMux(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { WriteJSON(w, r.PathValue("id")) })
	mux := NewMux([]Endpoint{{Method: "GET", Path: "/a/{id}", Handler: ok}, {Method: "POST", Path: "/b", Handler: ok}}, func(w http.ResponseWriter, _ *http.Request, d Document) {
		New(d).Write(w)
	})
	for request, want := range map[string]struct {
		status int
		allow  string
	}{
		"GET /a/x": {200, ""}, "HEAD /a/x": {200, ""}, "POST /b": {200, ""},
		"POST /a/x": {405, "GET, HEAD"}, "GET /b": {405, "POST"}, "OPTIONS /b": {405, "POST"},
		"GET /": {404, ""}, "GET /a": {404, ""}, "GET /a/x/": {404, ""}, "GET /a//x": {404, ""}, "POST /a/../b": {404, ""}, "POST //b?token=x": {404, ""},
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want.status || w.Header().Get("Allow") != want.allow || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v, want %v", request, w.Code, w.Header(), want)
		}
	}
}

// TestCheckHead checks each limit from both sides.
func TestCheckHead(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, tt := range map[string]struct {
		method, target, value string
		status                int
	}{
		"nothing":           {"GET", "/", "", 0},
		"the limits":        {"PURGE", "/" + long(MaxTarget-1), long(MaxHeaders - len("A: \r\n")), 0},
		"long target":       {"GET", "/" + long(MaxTarget), "", 414},
		"long header":       {"GET", "/", long(MaxHeaders - len("A: \r\n") + 1), 431},
		"method not served": {"TRACE", "/", "", 405},
		"method no token":   {"GE T", "/", "", 400},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.target, nil)
		r.Method, r.Header = tt.method, http.Header{"A": {tt.value}}
		w := httptest.NewRecorder()
		status := 0
		if d := CheckHead(w, r, MaxHeaders); d != nil {
			status = d.Status
		}
		if status != tt.status || (status == 405) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s: %d, want %d; %v", name, status, tt.status, w.Header())
		}
	}
}

// TestAccepted checks that only what is in effect on all nodes is accepted.
func TestAccepted(t *testing.T) {
	for err, accepted := range map[error]bool{
		nil: true, fmt.Errorf("%w: no replica", store.ErrUnconfirmed): true,
		store.ErrNotDurable: false, errors.New("no disk"): false, errors.Join(store.ErrUnconfirmed, store.ErrNotDurable): false,
	} {
		var log strings.Builder
		got := Accepted(slog.New(slog.NewTextHandler(&log, nil)), err, "user", "ada")
		if (got == nil) != accepted || got != nil && !errors.Is(got, err) || strings.Contains(log.String(), "level=WARN") != (accepted && err != nil) {
			t.Errorf("%v: %v, with the log %q", err, got, log.String())
		}
	}
}

// TestStoreFailure checks that the answer to a failure of a store does not
// contain its cause, which is logged.
func TestStoreFailure(t *testing.T) {
	for err, want := range map[error]struct {
		status int
		reason string
		line   string
	}{
		errors.New("no disk"): {503, "store_unavailable", `level=ERROR msg="cannot revoke" user=ada reason=store_unavailable error="no disk"`},
		store.ErrInvalid:      {422, "invalid_request", `level=WARN msg="cannot revoke" user=ada reason=invalid_request error=`},
		store.ErrNotDurable:   {503, "store_unavailable", `level=ERROR msg="ended on this node only, and not yet written" user=ada reason=store_unavailable error=`},
	} {
		var log strings.Builder
		d := StoreFailure(slog.New(slog.NewTextHandler(&log, nil)), "cannot revoke", fmt.Errorf("%w", err), "user", "ada")
		if d.Status != want.status || d.Reason != want.reason || (d.Ended != nil) != errors.Is(err, store.ErrNotDurable) || strings.Contains(d.Detail, "disk") {
			t.Errorf("%v: got %+v", err, d)
		}
		if !strings.Contains(log.String(), want.line) {
			t.Errorf("%v: the log has %q, want %q", err, log.String(), want.line)
		}
	}
}

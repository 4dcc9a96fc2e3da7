package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
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
			for range 2 { // the same each time
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

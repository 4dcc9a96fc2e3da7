package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/store"
)

// FuzzAdminRevoke checks that a revocation that parses can be stored, lies not
// in the future, means what its JSON says, and concerns everybody only if it
// says so explicitly. Anything else gets an error that repeats nothing of the
// request.
func FuzzAdminRevoke(f *testing.F) {
	seeds := []string{
		`{"token":"7d1f3c1e"}`, `{"session":"019aa7a0-0000-7000-8000-000000000000"}`, `{"user":"google|ada"}`, `{"everything":true}`,
		`{"user":"ada","before":"2026-01-31T12:00:00.123+01:00"}`, `{"everything":true,"before":"1970-01-01T00:00:00.001Z"}`,
		`{"everything":false}`, `{"user":"a","user":"b"}`, `{"user":null,"everything":null}`, `{"before":"2026-01-31T12:00:00Z"}`, `[]`, "{\"user\":\"\xff\"}",
	}
	for _, s := range seeds {
		f.Add(s)
	}
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	read := 0
	for _, s := range seeds {
		if _, ok := readRevoke(httptest.NewRecorder(), jsonRequest(s), now); ok {
			read++
		}
	}
	if read < 6 {
		f.Fatalf("of the seeds, %d are orders", read)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		order, ok := readRevoke(w, jsonRequest(body), now)
		if !ok {
			if w.Code < 400 || w.Code >= 500 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			if len(body) > 40 && strings.Contains(w.Body.String(), body[1:len(body)-1]) {
				t.Fatalf("the answer repeats what was sent: %s", w.Body)
			}
			return
		}
		if w.Body.Len() > 0 {
			t.Fatalf("read, and answered %s", w.Body)
		}
		order.Expires = now.Add(time.Hour)
		if _, err := order.Canonical(); err != nil || order.Before.After(now) {
			t.Fatalf("%v: %v", order, err)
		}
		var said map[string]any
		if err := json.Unmarshal([]byte(body), &said); err != nil {
			t.Fatal(err)
		}
		for name, target := range map[string]store.Target{"token": store.TargetToken, "session": store.TargetSession, "user": store.TargetSubject} {
			if (said[name] != nil) != (order.Target == target) || order.Target == target && said[name] != order.ID {
				t.Fatalf("%v of %s", order, body)
			}
		}
		if (said["everything"] == true) != (order.Target == store.TargetAll) {
			t.Fatalf("%v of %s", order, body)
		}
		if said["before"] == nil && order.Target >= store.TargetSubject && !order.Before.Equal(now) {
			t.Fatalf("%v of %s", order, body)
		}
	})
}

func jsonRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/revoke", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// FuzzAdminQuery checks that a query that parses has values within their
// bounds and no parameter twice.
func FuzzAdminQuery(f *testing.F) {
	a := &admin{gateway: &Gateway{run: "ABCDEFGH"}}
	names := []string{"user", "session", "token"}
	for _, s := range []string{"", "user=google%7Cada&limit=1000", "after=ABCDEFGH.18446744073709551615", "limit=1&limit=2", "token=%ff", "a;b", "session=a&after=ABCDEFGH.7"} {
		f.Add(s)
	}
	if q, fault := a.parseQuery("user=google%7Cada&limit=7&after=ABCDEFGH.9", names); q != (adminQuery{user: "google|ada", limit: 7, after: 9}) || fault != "" {
		f.Fatal(q, fault)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, fault := a.parseQuery(query, names)
		if fault != "" {
			return
		}
		if q.limit < 1 || q.limit > maxPage || len(q.user)+len(q.session)+len(q.token) > 3*maxName {
			t.Fatalf("%+v", q)
		}
		again, fault := a.parseQuery("user="+url.QueryEscape(q.user)+"&after="+a.next(q.after), names)
		if q.user != "" && (fault != "" || again.user != q.user || again.after != q.after) {
			t.Fatalf("%+v and %+v, %s", q, again, fault)
		}
	})
}

package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/store"
)

// TestRevokeBefore checks that a time in the past spares sessions that started
// after it.
func TestRevokeBefore(t *testing.T) {
	for _, target := range []string{`"user":"ada"`, `"everything":true`} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			old := r.open(r.start("ada", "Phone"))
			before := time.Now()
			time.Sleep(time.Millisecond) // sessions that start in the same millisecond have no order
			young := r.open(r.start("ada", "Phone"))
			answer := r.revoke(`{` + target + `,"before":"` + before.Format(time.RFC3339Nano) + `"}`)
			if answer.Sockets != 1 || answer.Before != before.UTC().Format("2006-01-02T15:04:05.000Z07:00") || answer.Sessions != nil && *answer.Sessions != 1 {
				t.Errorf("%s: got %+v", target, answer)
			}
			if old.reason() != wsauth.SessionEnded || young.reason() != "" {
				t.Errorf("%s: the sockets have ended with %q and %q", target, old.reason(), young.reason())
			}
			if left, err := r.login.Sessions(t.Context(), "ada"); len(left) != 1 || err != nil {
				t.Errorf("%s: %d sessions are left, %v", target, len(left), err)
			}
		})
	}
}

// TestStoreThatFails checks that if the store fails, the answer and the log say
// that the revocation has taken effect on this node only, and is not stored.
func TestStoreThatFails(t *testing.T) {
	r := newRig(t)
	open := r.open(r.start("test", "Phone"))
	r.store.failing.Store(true)
	for i, body := range []string{`{"token":"x"}`, `{"session":"x"}`, `{"user":"test"}`, `{"everything":true}`} {
		w := r.call(http.MethodPost, "/v1/revoke", body, jsonType)
		if got := w.Body.String(); w.Code != 503 || !strings.Contains(got, `"ended":true,"durable":false`) || strings.Contains(got, "disk") {
			t.Errorf("%s: got %d %s", body, w.Code, got)
		}
		if got := strings.Count(r.log.String(), `msg="ended on this node only, and not yet written" target=`); got != i+1 {
			t.Errorf("%s: %d lines in the log: %s", body, got, &r.log)
		}
	}
	if open.reason() != wsauth.SessionEnded || strings.Contains(r.log.String(), "admin: revoked") {
		t.Errorf("the socket has ended with %q; the log: %s", open.reason(), &r.log)
	}
	if w := r.call(http.MethodGet, "/v1/sessions/stored?user=test", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "store_unavailable") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestUnconfirmed checks that a revocation that no replica has confirmed
// succeeds, and that the answer and the log say that it is unconfirmed.
func TestUnconfirmed(t *testing.T) {
	r := newRig(t)
	open := r.open(r.start("test", "Phone"))
	if answer := r.revoke(`{"token":"x"}`); !answer.Confirmed {
		t.Errorf("%+v, want it confirmed", answer)
	}
	r.store.unconfirmed.Store(true)
	for _, body := range []string{`{"token":"x"}`, `{"session":"x"}`, `{"user":"test"}`, `{"everything":true}`} {
		if answer := r.revoke(body); answer.Confirmed {
			t.Errorf("%+v, want it unconfirmed", answer)
		}
	}
	if log := r.log.String(); strings.Count(log, `no replica of the store has confirmed it" target=`) != 4 || strings.Count(log, "admin: revoked") != 5 {
		t.Errorf("the log has %s", log)
	}
	if open.reason() != wsauth.SessionEnded {
		t.Errorf("the socket has ended with %q", open.reason())
	}
}

// TestR5_AdminNamesCannotForgeLines checks that names in revocations are
// escaped in the log.
func TestR5_AdminNamesCannotForgeLines(t *testing.T) {
	r := newRig(t)
	name, err := json.Marshal("a\nlevel=INFO msg=\"admin: revoked\" target=everything\r\x1b[31m\u202e\x00")
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Count(r.log.String(), "\n")
	for _, target := range []string{"token", "session", "user"} {
		r.revoke(fmt.Sprintf(`{%q:%s}`, target, name))
	}
	log := r.log.String()
	if got := strings.Count(log, "\n") - before; got != 3 {
		t.Errorf("3 revocations wrote %d lines: %q", got, log)
	}
	if strings.ContainsAny(log, "\r\x1b\u202e\x00") {
		t.Errorf("the log has the name unescaped: %q", log)
	}
}

// FuzzRevoke checks that a revocation that parses can be stored, is not in the
// future, matches its JSON, and concerns everybody only if the JSON says so
// explicitly. Anything else gets an error that repeats nothing of the request.
func FuzzRevoke(f *testing.F) {
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
		if _, ok := readRevoke(httptest.NewRecorder(), jsonRequest(s), func() time.Time { return now }); ok {
			read++
		}
	}
	if read < 6 {
		f.Fatalf("%d of the seeds are revocations", read)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		order, ok := readRevoke(w, jsonRequest(body), func() time.Time { return now })
		if !ok {
			if w.Code < 400 || w.Code >= 500 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %v", w.Code, w.Header())
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
			t.Fatalf("%v: got %v", order, err)
		}
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		for name, target := range map[string]store.Target{"token": store.TargetToken, "session": store.TargetSession, "user": store.TargetSubject} {
			if (answer[name] != nil) != (order.Target == target) || order.Target == target && answer[name] != order.ID {
				t.Fatalf("%v of %s", order, body)
			}
		}
		if (answer["everything"] == true) != (order.Target == store.TargetAll) {
			t.Fatalf("%v of %s", order, body)
		}
		if answer["before"] == nil && order.Target >= store.TargetSubject && !order.Before.Equal(now) {
			t.Fatalf("%v of %s", order, body)
		}
	})
}

func jsonRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/revoke", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

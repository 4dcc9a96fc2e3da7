package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/idp"
	"wsauth/internal/idptest"
	"wsauth/internal/privatesock"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// An operator reaches the admin API of a rig.
type operator struct {
	t      *testing.T
	url    string
	client *http.Client
}

// operator serves the admin API of r on a Unix socket until the test ends.
func (r *rig) operator() *operator {
	r.t.Helper()
	path := filepath.Join(shortDir(r.t), "admin.sock")
	l, err := privatesock.Listen(r.t.Context(), path)
	if err != nil {
		r.t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return r.serveAdmin(l, "http://admin", &http.Transport{DialContext: dial}, AdminConfig{Version: "v1"})
}

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (r *rig) serveAdmin(l net.Listener, url string, transport *http.Transport, c AdminConfig) *operator {
	r.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.g.ServeAdmin(ctx, l, c) }()
	r.t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			r.t.Errorf("ServeAdmin: %v", err)
		}
	})
	return &operator{t: r.t, url: url, client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

func (o *operator) call(method, path, body string, headers ...string) exchange {
	o.t.Helper()
	req, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return exchange{resp, string(text)}
}

// get asks for what must be there.
func (o *operator) get(path string) map[string]any {
	o.t.Helper()
	e := o.call("GET", path, "")
	if e.StatusCode != http.StatusOK || e.Header.Get("Cache-Control") != "no-store" {
		o.t.Fatalf("%s: %d %s %v", path, e.StatusCode, e.body, e.Header)
	}
	return e.decode(o.t)
}

// revoke orders a revocation, and returns the answer.
func (o *operator) revoke(body string) map[string]any {
	o.t.Helper()
	e := o.call("POST", "/v1/revoke", body, jsonType)
	if e.StatusCode != http.StatusOK {
		o.t.Fatalf("%s: %d %s", body, e.StatusCode, e.body)
	}
	return e.decode(o.t)
}

// all are the entries of a list, from as many pages as there are.
func (o *operator) all(path, name string) (entries []map[string]any, pages int) {
	o.t.Helper()
	after := ""
	for {
		v := o.get(path + after)
		for _, entry := range v[name].([]any) {
			entries = append(entries, entry.(map[string]any))
		}
		pages++
		next, more := v["next"].(string)
		if !more {
			return entries, pages
		}
		after = "&after=" + next
	}
}

// Each grain ends the sockets that it names, with their tokens, and no other.
func TestAdminRevokesAtEachGrain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   func(sub, sid, jti string) string
		ends   [4]bool // of ada's first session the first and the second token, of her second session, of bert
		reason string
		answer string
	}{
		{"token", func(_, _, jti string) string { return `{"token":"` + jti + `"}` }, [4]bool{true}, "token_revoked", `"target":"token","id":`},
		{"session", func(_, sid, _ string) string { return `{"session":"` + sid + `"}` }, [4]bool{true, true}, "session_ended", `"target":"session","id":`},
		{"user", func(sub, _, _ string) string { return `{"user":"` + sub + `"}` }, [4]bool{true, true, true}, "session_ended", `"target":"user","id":"ada","before":"2`},
		{"everything", func(string, string, string) string { return `{"everything":true}` }, [4]bool{true, true, true, true}, "session_ended", `"target":"everything","before":"2`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend(t)
			r := behind(t, b, func(c *Config) { c.Authenticate = anyone })
			o := r.operator()
			first, refresh := r.loginAs("ada")
			claims := r.claims(first)
			conns := [4]*websocket.Conn{r.socket("/ws", bearer(first))}
			second, _ := r.loginAs("ada")
			bert, _ := r.loginAs("bert")
			issued, err := r.g.issuer.Access("ada", token.Options{SessionID: claims["sid"].(string)}) // as another node's, which renews no socket here
			if err != nil {
				t.Fatal(err)
			}
			tokens := [4]string{first, issued.Raw, second, bert}
			for i := 1; i < 4; i++ {
				conns[i] = r.socket("/ws", bearer(tokens[i]))
			}
			for _, conn := range conns {
				r.echoOf(conn, "I live")
			}
			e := o.call("POST", "/v1/revoke", tt.body("ada", claims["sid"].(string), claims["jti"].(string)), jsonType)
			ended := 0
			for i, ends := range tt.ends {
				if ends {
					ended++
					r.wantClose(conns[i], 3000, tt.reason)
					wantDead(t, r.call("GET", "/auth/session", "", bearer(tokens[i])))
				} else {
					r.echoOf(conns[i], "I live on")
					r.claims(tokens[i])
				}
			}
			if e.StatusCode != 200 || !strings.Contains(e.body, tt.answer) || !strings.Contains(e.body, fmt.Sprintf(`"sockets":%d}`, ended)) {
				t.Errorf("%d %s, want %s and %d sockets", e.StatusCode, e.body, tt.answer, ended)
			}
			if e := r.call("POST", "/auth/refresh", "", bearer(refresh)); (e.StatusCode == 200) != (tt.name == "token") {
				t.Errorf("refresh: %d %s", e.StatusCode, e.body)
			}
			if kept, err := r.store.ListSessions(t.Context(), "ada"); tt.name == "session" && len(kept) != 1 || tt.name == "user" && len(kept) != 0 || err != nil {
				t.Errorf("the store keeps %v, %v", kept, err)
			}
			again, _ := r.loginAs("ada")
			r.claims(again)
			r.log.waitFor(t, `msg="admin: revoked" target=`+tt.name)
		})
	}
}

// A moment in the past leaves what began after it.
func TestAdminRevokesWhatBeganBefore(t *testing.T) {
	for _, grain := range []string{`"user":"ada"`, `"everything":true`} {
		r := start(t, func(c *Config) { c.Authenticate = anyone })
		o := r.operator()
		before, _ := r.loginAs("ada")
		moment := time.Now()
		for time.Now().UnixMilli() == moment.UnixMilli() { // a session begins in a millisecond
			_ = r.claims(before)
		}
		after, _ := r.loginAs("ada")
		old, young := r.echoes(before), r.echoes(after)
		v := o.revoke(`{` + grain + `,"before":"` + moment.Format(time.RFC3339Nano) + `"}`)
		if v["sockets"] != float64(1) || v["before"] != moment.UTC().Format("2006-01-02T15:04:05.000Z07:00") {
			t.Errorf("%v", v)
		}
		if sessions, ok := v["sessions"]; ok && sessions != float64(1) {
			t.Errorf("%v", v)
		}
		r.wantClose(old, 3000, "session_ended")
		wantDead(t, r.call("GET", "/auth/session", "", bearer(before)))
		r.echoOf(young, "I live on")
		if logins := o.get("/v1/sessions/stored?user=ada")["sessions"].([]any); len(logins) != 1 {
			t.Errorf("%d logins are left: %v", len(logins), logins)
		}
	}
}

func TestAdminLists(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b, func(c *Config) { c.Authenticate = anyone })
	o := r.operator()
	if v := o.get("/v1/sockets"); len(v["sockets"].([]any)) != 0 || v["next"] != nil {
		t.Errorf("%v", v)
	}
	begun := float64(time.Now().Unix())
	ada, _ := r.loginAs("ada", "User-Agent: Phone")
	time.Sleep(time.Until(time.Now().Truncate(time.Millisecond).Add(time.Millisecond))) // sessions of one have no order
	r.loginAs("ada", "User-Agent: Laptop")
	bert, _ := r.loginAs("bert")
	for _, access := range []string{ada, bert, ada} {
		r.echoOf(r.socket("/ws", bearer(access)), "I am tied to an upstream")
	}
	claims := r.claims(ada)
	sid, jti := claims["sid"].(string), claims["jti"].(string)
	for path, want := range map[string][]string{
		"/v1/sockets":                           {"ada", "bert", "ada"},
		"/v1/sockets?user=ada":                  {"ada", "ada"},
		"/v1/sockets?session=" + sid:            {"ada", "ada"},
		"/v1/sockets?token=" + jti:              {"ada", "ada"},
		"/v1/sockets?token=" + jti + "&user=x":  {},
		"/v1/sockets?session=" + jti:            {},
		"/v1/sockets?user=bert&session=" + sid:  {},
		"/v1/sockets?user=nobody":               {},
		"/v1/sessions":                          {"ada", "bert"},
		"/v1/sessions?user=bert":                {"bert"},
		"/v1/sessions/stored?user=ada":          {"ada", "ada"},
		"/v1/sessions/stored?user=nobody":       {},
		"/v1/sockets?user=ada&limit=2":          {"ada", "ada"},
		"/v1/sockets?user=%00":                  {},
		"/v1/sockets?user=google%7Cada&limit=1": {},
	} {
		v := o.get(path)
		name := strings.Split(path, "/")[2]
		name, _, _ = strings.Cut(name, "?")
		subs := []string{}
		for _, entry := range v[name].([]any) {
			subs = append(subs, entry.(map[string]any)["sub"].(string))
		}
		if !slices.Equal(subs, want) || v["next"] != nil {
			t.Errorf("%s: %v, want %v; next %v", path, subs, want, v["next"])
		}
	}
	socket := o.get("/v1/sockets?user=ada&limit=1")["sockets"].([]any)[0].(map[string]any)
	if socket["jti"] != jti || socket["sid"] != sid || socket["route"] != "/" || socket["upstream"] != b.URL || socket["expires"] != claims["exp"] ||
		!strings.HasPrefix(socket["remote"].(string), "127.0.0.1:") || socket["opened"].(float64) < begun {
		t.Errorf("%v", socket)
	}
	session := o.get("/v1/sessions?user=ada")["sessions"].([]any)[0].(map[string]any)
	if session["sid"] != sid || session["sockets"] != float64(2) || session["opened"] != socket["opened"] || session["remote"] != socket["remote"] || session["jti"] != nil {
		t.Errorf("%v", session)
	}
	logins := o.get("/v1/sessions/stored?user=ada")["sessions"].([]any)
	phone, laptop := logins[0].(map[string]any), logins[1].(map[string]any)
	if phone["agent"] != "Phone" || phone["sid"] != sid || phone["sockets"] != float64(2) || laptop["agent"] != "Laptop" || laptop["sockets"] != float64(0) ||
		phone["remote"] != "127.0.0.1" || phone["started"].(float64) < begun || phone["expires"].(float64) > phone["ends"].(float64) {
		t.Errorf("%v", logins)
	}
	o.revoke(`{"everything":true}`)
	if left := o.get("/v1/sessions/stored?user=ada")["sessions"].([]any); len(left) != 0 {
		t.Errorf("logins that have ended are listed: %v", left)
	}
}

// TestAdminListsWhatHasNoSession checks that tokens without a sid are listed
// by jti, and that sockets without a token count as sockets but not as
// sessions.
func TestAdminListsWhatHasNoSession(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, Route{Path: "/free", Upstreams: []string{b.URL}, Public: true, Sockets: true})
	})
	o := r.operator()
	r.echoOf(r.socket("/free"), "I am tied to an upstream")
	robot, err := r.g.issuer.Access("robot", token.Options{ID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	r.socket("/ws", bearer(robot.Raw))
	r.socket("/ws", bearer(robot.Raw))
	sockets := o.get("/v1/sockets")["sockets"].([]any)
	if s := sockets[0].(map[string]any); len(sockets) != 3 || s["sub"] != "" || s["jti"] != "" || s["route"] != "/free" || s["expires"] != nil {
		t.Errorf("%v", sockets)
	}
	sessions := o.get("/v1/sessions")["sessions"].([]any)
	if s := sessions[0].(map[string]any); len(sessions) != 1 || s["sid"] != "" || s["jti"] != "r1" || s["sockets"] != float64(2) {
		t.Errorf("%v", sessions)
	}
	if open := o.get("/v1/status")["open"].(map[string]any); open["sockets"] != float64(3) || open["users"] != float64(1) || open["sessions"] != float64(0) {
		t.Errorf("%v", open)
	}
}

// TestAdminListsBySubjectOfIssuer checks that user, beside a session or a
// token, is the subject or the sub of the issuer.
func TestAdminListsBySubjectOfIssuer(t *testing.T) {
	p := idptest.New(t)
	r := start(t, func(c *Config) {
		c.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", Profile: &token.Profile{Subject: "name"},
		}))}
	})
	o := r.operator()
	r.echoes(p.AccessToken("248", "s", map[string]any{"name": "ada"}))
	for query, want := range map[string]int{
		"user=idp|ada": 1, "user=idp|248": 0,
		"session=idp|s&user=idp|ada": 1, "session=idp|s&user=idp|248": 1, "session=idp|s&user=248": 0,
		"token=idp|access-248&user=idp|ada": 1, "token=idp|access-248&user=idp|248": 1, "token=idp|access-248&user=ada": 0,
		"token=idp|access-248&session=idp|s&user=idp|248": 1, "token=idp|access-248&session=x&user=idp|248": 0,
	} {
		if got := o.get("/v1/sockets?" + strings.ReplaceAll(query, "|", "%7C"))["sockets"].([]any); len(got) != want {
			t.Errorf("%s: %d sockets, want %d", query, len(got), want)
		}
	}
}

// Who turns the pages while sockets come and go sees each that stays, once.
func TestAdminPagesUnderChurn(t *testing.T) {
	r := start(t, func(c *Config) { c.Authenticate = anyone })
	o := r.operator()
	stays := map[string]bool{}
	var others []*websocket.Conn
	other, _ := r.loginAs("other")
	for i := range 12 {
		access, _ := r.loginAs(fmt.Sprint("user", i))
		r.echoes(access)
		stays[r.claims(access)["sid"].(string)] = true
		others = append(others, r.echoes(other))
	}
	for _, list := range []string{"sockets", "sessions"} {
		seen := map[string]int{}
		after, pages := "", 0
		for {
			v := o.get("/v1/" + list + "?limit=5" + after)
			entries := v[list].([]any)
			if len(entries) > 5 {
				t.Fatalf("a page of %d", len(entries))
			}
			for _, entry := range entries {
				seen[entry.(map[string]any)["sid"].(string)]++
			}
			pages++
			if len(others) > 0 {
				others[0].CloseNow() // which may be the last of the page
				others = append(others[1:], r.echoes(other))
			}
			next, more := v["next"].(string)
			if !more {
				break
			}
			after = "&after=" + next
		}
		if pages < 3 {
			t.Errorf("%s: %d pages", list, pages)
		}
		for sid := range stays {
			if seen[sid] != 1 {
				t.Errorf("%s: one that stays was seen %d times", list, seen[sid])
			}
		}
	}
	if all, pages := o.all("/v1/sockets?user=other&limit=5", "sockets"); len(all) < 12 || pages < 3 {
		t.Errorf("%d sockets of one user in %d pages", len(all), pages)
	}
}

func TestAdminStatus(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, Route{Host: "a.example", Path: "/down", Upstreams: []string{"http://127.0.0.1:1", b.URL}, Public: true})
	})
	o := r.operator()
	r.get("/down", "Host: a.example") // finds out that the first of its upstreams is down
	v := o.get("/v1/status")
	if v["version"] != "v1" || v["ready"] != true || v["uptime"].(float64) < 0 || v["started"].(float64) > float64(time.Now().Unix()) {
		t.Errorf("%v", v)
	}
	want := []any{
		map[string]any{"path": "/", "public": false, "requirement": "access", "upstreams": []any{map[string]any{"address": b.URL, "healthy": true}}},
		map[string]any{"path": "/public/", "public": true, "upstreams": []any{map[string]any{"address": b.URL, "healthy": true}}},
		map[string]any{"host": "a.example", "path": "/down", "public": true, "upstreams": []any{
			map[string]any{"address": "http://127.0.0.1:1", "healthy": false}, map[string]any{"address": b.URL, "healthy": true},
		}},
	}
	if got := fmt.Sprint(v["routes"]); got != fmt.Sprint(want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
	demo := start(t).operator().get("/v1/status")
	if got := fmt.Sprint(demo["routes"]); got != fmt.Sprint([]any{map[string]any{"path": "/ws", "public": false, "requirement": "access", "upstreams": []any{}}}) {
		t.Errorf("%v", got)
	}
}

// What the store does not take is not answered as done, though it has ended
// here.
func TestAdminWithAStoreThatFails(t *testing.T) {
	broken := &failingStore{Store: memory.New(store.Limits{})}
	r := start(t, func(c *Config) { c.Store = broken })
	o := r.operator()
	access, _ := r.login()
	conn := r.echoes(access)
	broken.fail(fmt.Errorf("no disk"))
	for _, body := range []string{`{"token":"x"}`, `{"session":"x"}`, `{"user":"test"}`, `{"everything":true}`} {
		e := o.call("POST", "/v1/revoke", body, jsonType)
		wantNotDurable(t, e)
	}
	wantProblem(t, o.call("GET", "/v1/sessions/stored?user=test", ""), 503, "store_unavailable", "")
	r.wantClose(conn, 3000, "session_ended")
	r.wantLine(`"ended on this node only, and not written yet"`, 4, "target=", "sockets=", "via=unix")
	broken.fail(nil)
	if strings.Contains(r.log.String(), "admin: revoked") {
		t.Error("the log says that something was revoked")
	}
}

// TestAdminDrains checks that draining ends sockets like a shutdown, admits no
// new ones, and keeps serving plain requests. A second call changes nothing.
func TestAdminDrains(t *testing.T) {
	r := start(t)
	o := r.operator()
	access, refresh := r.login()
	conn := r.echoes(access)
	if got := o.call("POST", "/v1/drain", `{"within":5}`, jsonType); got.StatusCode != http.StatusOK || got.body != `{"within":5,"sockets":1}` {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	r.wantClose(conn, 1012, "restarting")
	wantProblem(t, r.call("GET", "/readyz", ""), 503, "restarting", "restarting")
	if got := o.call("GET", "/v1/status", ""); !strings.Contains(got.body, `"ready":false,"reason":"restarting"`) {
		t.Error(got.body)
	}
	if _, resp, err := r.dial("", bearer(access)); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new socket: %v", err)
	}
	access, _ = r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
	r.claims(access)
	if got := o.call("POST", "/v1/drain", `{}`, jsonType); got.StatusCode != http.StatusOK {
		t.Errorf("again: %d %s", got.StatusCode, got.body)
	}
	if got := strings.Count(r.log.String(), "admin: draining"); got != 1 {
		t.Errorf("%d lines", got)
	}
}

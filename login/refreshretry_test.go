package login

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsauth"
)

func idempotent(key string) string { return "Idempotency-Key: " + key }

// refreshID returns the jti of a refresh token.
func (r *rig) refreshID(raw string) string {
	r.T.Helper()
	claims, err := r.guard.Check(logoutRequest(r.T, raw), wsauth.Refresh)
	if err != nil {
		r.T.Fatal(err)
	}
	return claims.ID
}

// askAndCut sends a request, reads the first n bytes of the answer, and closes
// the connection. whole reports whether that was the whole answer.
func (r *rig) askAndCut(path string, n int, headers ...string) (answer string, whole bool) {
	r.T.Helper()
	conn := r.Connect()
	defer conn.Close()
	lines := append([]string{"POST " + path + " HTTP/1.1", "Host: " + strings.TrimPrefix(r.URL, "http://"), "Content-Length: 0", "Connection: close"}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		r.T.Fatal(err)
	}
	started := make([]byte, n+1)
	got, err := io.ReadFull(bufio.NewReaderSize(conn, 16), started)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		r.T.Fatal(err)
	}
	return string(started[:min(got, n)]), got <= n
}

// TestRefreshAnswerCutAtEachByte checks that a client that loses the answer at
// any byte can repeat its request with the same key, and that the session
// continues. There is no grace period.
func TestRefreshAnswerCutAtEachByte(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = -1 })
	access, refresh := r.Login()
	conn := r.echoes(access)
	for n := 0; ; n++ {
		key := idempotent("key-" + strconv.Itoa(n))
		answer, whole := r.askAndCut("/auth/refresh", n, bearer(refresh), key)
		if n > 0 && !strings.HasPrefix("HTTP/1.1 200 OK\r\n", answer[:min(n, 17)]) {
			t.Fatalf("after %d bytes: %q", n, answer)
		}
		_, first := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh), key))
		_, second := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh), key))
		if one, other := r.refreshID(first), r.refreshID(second); one != other || one == r.refreshID(refresh) {
			t.Fatalf("after %d bytes: two tries got %s and %s", n, one, other)
		}
		refresh = second
		if whole {
			break
		}
	}
	r.WantEcho(conn, "hello")
	r.Call("POST", "/auth/refresh", "", bearer(access)).WantProblem(t, 403, "wrong_token_type", "")
}

// TestRefreshAnswerCutAtEachByteWithCookies checks the same for a browser. It
// stores the cookies of an answer once the header is complete, and repeats the
// request with the cookies that it has.
func TestRefreshAnswerCutAtEachByteWithCookies(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = -1 })
	_, proof := r.LoginCookies()
	for n := 0; ; n++ {
		key := idempotent("key-" + strconv.Itoa(n))
		jar := r.Cookies()
		answer, whole := r.askAndCut("/auth/refresh", n, "Cookie: refresh_token_cookie="+jar["refresh_token_cookie"], csrf(proof), key)
		if head, _, complete := strings.Cut(answer, "\r\n\r\n"); complete {
			response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), nil)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("after %d bytes: %q, %v", n, head, err)
			}
			request, _ := http.NewRequest(http.MethodGet, r.URL, nil)
			r.HTTP.Jar.SetCookies(request.URL, response.Cookies())
		}
		e := r.Call("POST", "/auth/refresh", "", csrf(r.Cookies()["csrf_refresh_token"]), key)
		if e.StatusCode != http.StatusOK {
			t.Fatalf("after %d bytes: %d %s", n, e.StatusCode, e.Text)
		}
		proof = r.Cookies()["csrf_refresh_token"]
		if e.Decode(t)["refresh_csrf_token"] != proof {
			t.Fatalf("after %d bytes: the cookies are not those of the answer", n)
		}
		if whole {
			break
		}
	}
	if e := r.Call("GET", "/auth/session", ""); e.StatusCode != http.StatusOK {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
}

// TestL7_ThiefWithAnOldRefreshToken checks the result when a thief uses an old
// refresh token, with or without the right key, before or after the owner of
// the token uses its successor.
func TestL7_ThiefWithAnOldRefreshToken(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		generation int           // of the stolen token: 0, or 1; 1 was exchanged last, for 2
		key        string        // of the thief; the owner's are key-0, key-1 and key-2
		after      time.Duration // since the last refresh
		used       string        // what the owner then did with the token of generation 2
		good       bool
	}{
		"the last, at once, without a key":           {generation: 1, good: true},
		"the last, within the grace, a wrong key":    {generation: 1, key: "key-0", after: 10 * time.Second, good: true},
		"the last, after the grace, without a key":   {generation: 1, after: 10*time.Second + 2*time.Millisecond},
		"the last, after the grace, a wrong key":     {generation: 1, key: "key-0", after: 11 * time.Second},
		"the last, after the grace, the next key":    {generation: 1, key: "key-2", after: 11 * time.Second},
		"the last, with its key":                     {generation: 1, key: "key-1", after: 11 * time.Second, good: true},
		"the last, with its key in quotation marks":  {generation: 1, key: `"key-1"`, after: time.Hour, good: true},
		"the last, with its key, in a day":           {generation: 1, key: "key-1", after: day, good: true},
		"the last, with its key, later":              {generation: 1, key: "key-1", after: day + 2*time.Millisecond},
		"the last, its successor was exchanged":      {generation: 1, key: "key-1", used: "/auth/refresh"},
		"the last, its successor has logged out":     {generation: 1, key: "key-1", used: "/auth/logout"},
		"the one before, at once, without a key":     {generation: 0},
		"the one before, at once, with its key":      {generation: 0, key: "key-0"},
		"the one before, at once, with the last key": {generation: 0, key: "key-1"},
		"the one before, later":                      {generation: 0, key: "key-0", after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				access, token := r.Login()
				tokens := []string{token}
				for n := range 2 {
					access, token = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(token), idempotent("key-"+strconv.Itoa(n))))
					tokens = append(tokens, token)
				}
				if c.used != "" {
					if e := r.Call("POST", c.used, "", bearer(token), idempotent("key-2")); e.StatusCode/100 != 2 {
						t.Fatalf("%d %s", e.StatusCode, e.Text)
					}
				}
				time.Sleep(c.after)
				headers := []string{bearer(tokens[c.generation])}
				if c.key != "" {
					headers = append(headers, idempotent(c.key))
				}
				e := r.Call("POST", "/auth/refresh", "", headers...)
				if c.good {
					if _, again := r.Renewed(e); r.refreshID(again) != r.refreshID(tokens[2]) {
						t.Error("got another successor")
					}
					r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(tokens[2]), idempotent("key-2")))
					return
				}
				reason := "session_ended"
				if c.used == "/auth/logout" {
					reason = "token_revoked"
				}
				e.WantProblem(t, http.StatusUnauthorized, reason, "")
				if c.after >= defaultAccessTTL {
					access = tokens[2] // an access token has expired in any case
				}
				for path, raw := range map[string]string{"/auth/refresh": tokens[2], "/auth/logout-everywhere": access} {
					r.Call("POST", path, "", bearer(raw)).WantProblem(t, http.StatusUnauthorized, "token_revoked", "")
				}
			})
		})
	}
}

func TestRefreshWithoutRetry(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace, c.RefreshRetry = -1, -1 })
	_, refresh := r.Login()
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh), idempotent("key")))
	r.Call("POST", "/auth/refresh", "", bearer(refresh), idempotent("key")).WantProblem(t, 401, "session_ended", "")
}

// TestIdempotencyKeys checks that a malformed key is refused and no token is
// exchanged, since a client that sends a key relies on it.
func TestIdempotencyKeys(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = -1 })
	_, refresh := r.Login()
	long := strings.Repeat("k", maxIdempotencyKey)
	for name, keys := range map[string][]string{
		"empty": {""}, "only quotation marks": {`""`}, "one quotation mark": {`"`}, "half in quotation marks": {`"key`}, "half, at the end": {`key"`},
		"a space": {"a key"}, "a list": {"a, b"}, "a parameter": {`"key";a=1`}, "an escape": {`"k\"y"`}, "too long": {long + "k"}, "too long in quotation marks": {`"` + long + `k"`},
		"two fields": {"key", "key"}, "two fields, one empty": {"key", ""}, "beyond ASCII": {"k\u00e9y"}, "quoted twice": {`""key""`}, "single quotes": {"'key'"},
	} {
		headers := []string{bearer(refresh)}
		for _, key := range keys {
			headers = append(headers, idempotent(key))
		}
		t.Log(name)
		r.Call("POST", "/auth/refresh", "", headers...).WantProblem(t, 400, "invalid_request", "Idempotency-Key")
	}
	for _, spellings := range [][]string{
		{"k", `"k"`}, {long, `"` + long + `"`}, {"  key", "key\t"}, {"AZaz09-._~+/=:", `"AZaz09-._~+/=:"`}, {"8e03978e-40d5-43dd-bc93-6894a57f9324"},
	} {
		var next string
		for range 2 {
			for _, key := range spellings {
				_, again := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh), idempotent(key)))
				if next != "" && r.refreshID(again) != r.refreshID(next) {
					t.Errorf("%q gives another token", key)
				}
				next = again
			}
		}
		refresh = next
	}
	if strings.Contains(r.log.String(), "8e03978e") {
		t.Error("a key is logged")
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "key", `"key"`, `"`, `""`, " key ", "a b", "a,b", "\x00", "\u00e9", strings.Repeat("k", maxIdempotencyKey), strings.Repeat("k", maxIdempotencyKey+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hash := func(field string) (got [32]byte, ok bool) {
			return idempotencyKey(&http.Request{Header: http.Header{"Idempotency-Key": {field}}})
		}
		got, ok := hash(text)
		if ok == (got == [32]byte{}) {
			t.Fatalf("%q: %x, %t", text, got, ok)
		}
		bare := strings.Trim(text, " \t")
		quoted, quotedOK := hash(`"` + bare + `"`)
		if strings.Contains(bare, `"`) {
			if quotedOK {
				t.Errorf("%q: is a key in quotation marks", text)
			}
		} else if bare == strings.Trim(bare, " \t") && (quoted != got || quotedOK != ok) {
			t.Errorf("%q: %t; in quotation marks: %t", text, ok, quotedOK)
		}
		if ok && len(bare) > maxIdempotencyKey+2 {
			t.Errorf("a key of %d bytes", len(bare))
		}
	})
}

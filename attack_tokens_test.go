package wsauth_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// A place is where a request can carry a token.
type place struct {
	name   string
	config func(*wsauth.Config)

	// request puts the token into a handshake or, if not, a plain request.
	request func(tok string, handshake bool) string

	// status is the answer to a hostile token: 401 where it is looked at, 400
	// where the place itself cannot carry such bytes, 0 where no request
	// carries them.
	status func(tok string) int
}

func carry(path string, handshake bool, lines ...string) string {
	if handshake {
		return upgrade(path, append(lines, "Origin: "+origin)...)
	}
	return plain("GET", path, lines...)
}

// controls are bytes that no header may have, so net/http refuses them.
const controls = "\x00\r\n"

var places = []place{
	{
		name:    "header",
		config:  func(c *wsauth.Config) { c.Locations = []wsauth.Location{wsauth.Header{}} },
		request: func(tok string, h bool) string { return carry("/access", h, "Authorization: Bearer "+tok) },
		status: func(tok string) int {
			switch {
			case strings.TrimRight(tok, " \t\r\n") != tok:
				return 0 // white space at the end of a line belongs to the line
			case strings.ContainsAny(tok, controls+" \t,"):
				return 400
			}
			return 401
		},
	},
	{
		name:   "cookie",
		config: func(c *wsauth.Config) { c.Locations = []wsauth.Location{&wsauth.Cookies{InsecureNoCSRF: true}} },
		request: func(tok string, h bool) string {
			return carry("/access", h, "Cookie: a=b; __Host-access_token_cookie="+tok+"; c=d")
		},
		status: func(tok string) int {
			if strings.ContainsAny(tok, controls) {
				return 400
			}
			return 401
		},
	},
	{
		name:    "query",
		config:  func(c *wsauth.Config) { c.Locations = []wsauth.Location{wsauth.Query{Name: "token"}} },
		request: func(tok string, h bool) string { return carry("/access?a=b&token="+url.QueryEscape(tok), h) },
		status:  func(string) int { return 401 },
	},
	{
		name:    "path",
		config:  func(c *wsauth.Config) { c.Locations = []wsauth.Location{wsauth.PathValue{Name: "token"}} },
		request: func(tok string, h bool) string { return carry("/path/"+url.PathEscape(tok), h) },
		status: func(tok string) int {
			switch {
			case tok == "..":
				return 0 // another path
			case url.PathEscape(tok) != tok:
				return 400
			}
			return 401
		},
	},
}

func placeConfig(t testing.TB, p place) wsauth.Config {
	t.Helper()
	c := wsauth.Config{Verifier: newVerifier(t, 0), Origins: []string{origin}}
	p.config(&c)
	return c
}

// trap is a server that nobody may connect to.
func trap(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			conn.Close()
		}
		done <- err == nil
	}()
	t.Cleanup(func() {
		l.Close()
		if <-done {
			t.Error("a token made the guard connect to a URL of its own")
		}
	})
	return "http://" + l.Addr().String() + "/keys"
}

// pieces are the parts of a token that must not show anywhere.
func pieces(tok string) []string {
	secrets := []string{tok}
	secrets = append(secrets, strings.Split(tok, ".")...)
	secrets = append(secrets, url.QueryEscape(tok), "the-id", "the-login", "alice")
	return slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 5 })
}

func TestHostileTokens(t *testing.T) {
	all := corpus(trap(t))
	if len(all) < 300 {
		t.Fatalf("only %d tokens", len(all))
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			x := newTarget(t, placeConfig(t, p))
			for _, h := range all {
				status := p.status(h.token)
				if status == 0 {
					continue
				}
				for kind, handshake := range map[string]bool{"upgrade": true, "plain": false} {
					t.Run(h.name+"/"+kind, func(t *testing.T) {
						begun := time.Now()
						a := x.send(t, p.request(h.token, handshake))
						if spent := time.Since(begun); spent > 5*time.Second { // J6: nobody slept
							t.Errorf("the answer took %s", spent)
						}
						if status == 401 {
							x.wantRefusal(t, a, reasonFor(h.name), pieces(h.token)...)
							return
						}
						if a.StatusCode != 400 {
							t.Errorf("status %d, want 400: %s", a.StatusCode, a.body)
						}
						x.wantSilence(t, a, pieces(h.token)...)
					})
				}
			}
		})
	}
}

// reasonOf is the reason with which a hostile token is refused: of those that
// are correctly signed and merely too old, it is that one.
func reasonFor(name string) wsauth.Reason {
	switch name {
	case "J23/past", "J23/now", "J23/0", "J23/before_iat":
		return wsauth.TokenExpired
	}
	return wsauth.TokenInvalid
}

// TestHostileTokensByClose is TestHostileTokens in the other way of refusing:
// the client gets a socket, one close frame, and nothing else.
func TestHostileTokensByClose(t *testing.T) {
	c := placeConfig(t, places[2])
	c.Refusal = wsauth.RefuseClose
	x := newTarget(t, c)
	x.clients.Store(1) // one that is refused often is kept waiting
	for _, h := range corpus(trap(t)) {
		t.Run(h.name, func(t *testing.T) {
			a := x.send(t, places[2].request(h.token, true))
			code, reason := a.closeFrame(t)
			if want := string(reasonFor(h.name)); code != 3000 || reason != want {
				t.Errorf("closed with %d %q, want %q", code, reason, want)
			}
			a.body = reason
			x.wantSilence(t, a, pieces(h.token)...)
		})
	}
}

// TestSubstitution is J34: a token of one kind where another is asked for.
func TestSubstitution(t *testing.T) {
	x := newTarget(t, placeConfig(t, places[0]))
	kinds := map[string]string{
		"access": "", "fresh": "", "refresh": `"refresh"`, "id": `"id"`, "ticket": `"ticket"`, "logout": `"logout"`, "upper": `"ACCESS"`, "spaced": `"access "`,
	}
	for kind, typ := range kinds {
		payload := claims("type", typ)
		switch kind {
		case "access":
			payload = claims("fresh", "false")
		case "fresh":
			payload = claims()
		}
		for _, q := range requirements {
			t.Run(fmt.Sprintf("J34/%s_as_%s", kind, q), func(t *testing.T) {
				a := x.send(t, upgrade("/"+q.String(), "Authorization: Bearer "+signed(payload)))
				switch {
				case kind == "fresh" && q != wsauth.Refresh, kind == "access" && (q == wsauth.Access || q == wsauth.Optional), kind == "refresh" && q == wsauth.Refresh:
					x.wantSuccess(t, a)
				case kind == "access" && q == wsauth.Fresh:
					x.wantRefusal(t, a, wsauth.FreshTokenRequired, pieces(signed(payload))...)
				default:
					x.wantRefusal(t, a, wsauth.WrongTokenType, pieces(signed(payload))...)
				}
			})
		}
	}
	t.Run("J34/type_missing", func(t *testing.T) {
		payload := strings.Replace(claims(), `"type":"access",`, "", 1)
		for _, q := range requirements {
			x.wantRefusal(t, x.send(t, upgrade("/"+q.String(), "Authorization: Bearer "+signed(payload))), wsauth.WrongTokenType)
		}
	})
}

// TestGoodTokens are the attack list's tokens that are to pass; without them
// the refusals above would prove nothing.
func TestGoodTokens(t *testing.T) {
	now := time.Now().Unix()
	esInput := b64(head("ES256", "es", "")) + "." + b64(claims())
	good := map[string]string{
		"issued": access(t), "HS256": signed(claims()),
		"RS256": compact(head("RS256", "rs", ""), claims(), signRS), "PS256": compact(head("PS256", "ps", ""), claims(), pssSigner(32)),
		"ES256": compact(head("ES256", "es", ""), claims(), signES), "EdDSA": compact(head("EdDSA", "ed", ""), claims(), signEd),
		"J18/twin_signature":       esInput + "." + b64(twin(signES(esInput))),
		"J22/SUB":                  signed(claims("SUB", `"admin"`, "EXP", "1", "ſub", `"admin"`)),
		"J25/float":                signed(claims("exp", fmt.Sprintf("%d.5", now+600))),
		"J25/exponent":             signed(claims("exp", fmt.Sprintf("%de0", now+600))),
		"J25/small_exponent":       signed(claims("exp", fmt.Sprintf("%d0E-1", now+600))),
		"J28/one_of_several":       signed(claims("aud", fmt.Sprintf(`["x",%q]`, testAudience))),
		"J35/typ_missing":          compact(`{"alg":"HS256","kid":"hs"}`, claims(), signHS),
		"J35/at+jwt":               compact(`{"alg":"HS256","kid":"hs","typ":"at+jwt"}`, claims(), signHS),
		"J35/application_at+jwt":   compact(`{"alg":"HS256","kid":"hs","typ":"application/at+jwt"}`, claims(), signHS),
		"J30/names_of_all_peoples": signed(claims("sub", `"Ólafur 李 \uD83D\uDE00"`)),
	}
	for _, p := range places {
		x := newTarget(t, placeConfig(t, p))
		for name, tok := range good {
			for kind, handshake := range map[string]bool{"upgrade": true, "plain": false} {
				t.Run(name+"/"+p.name+"/"+kind, func(t *testing.T) {
					seen := x.wantSuccess(t, x.send(t, p.request(tok, handshake)))
					for _, secret := range append(strings.Split(tok, "."), url.QueryEscape(tok)) {
						if strings.Contains(seen, secret) {
							t.Errorf("the handler sees %q in\n%s", secret, seen)
						}
					}
				})
			}
		}
	}
}

// twin is the other signature that anybody can make from an ES256 signature.
func twin(signature string) string {
	s := new(big.Int).SetBytes([]byte(signature[32:]))
	return signature[:32] + fixed(s.Sub(elliptic.P256().Params().N, s))
}

// TestTwinSignature is the rest of J18: the revocation of a token holds for
// its twin, because it goes by the token's name.
func TestTwinSignature(t *testing.T) {
	revoked := func(_ context.Context, c *token.Claims) (bool, error) { return c.ID == "the-id", nil }
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Revoked: revoked})
	input := b64(head("ES256", "es", "")) + "." + b64(claims())
	signature := signES(input)
	for name, s := range map[string]string{"J18/original": signature, "J18/twin": twin(signature)} {
		t.Run(name, func(t *testing.T) {
			x.wantRefusal(t, x.send(t, upgrade("/access", "Authorization: Bearer "+input+"."+b64(s))), wsauth.TokenRevoked)
		})
	}
}

// TestCost bounds what a request without a right can make the guard allocate
// and compute, however large it is.
func TestCost(t *testing.T) {
	for _, p := range places {
		guard, err := wsauth.New(placeConfig(t, p))
		if err != nil {
			t.Fatal(err)
		}
		var bytes uint64
		var spent time.Duration
		measure := func(_ http.ResponseWriter, r *http.Request) {
			bytes, spent = cost(func() {
				_, err := guard.Check(r, wsauth.Access)
				if !errors.Is(err, wsauth.TokenInvalid) && !errors.Is(err, wsauth.TokenExpired) {
					t.Errorf("Check: %v", err)
				}
			})
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/", measure)
		mux.HandleFunc("/path/{token}", measure)
		for _, h := range slices.Concat(tooLarge(), hostilePayloads(), hostileDates()) {
			if p.status(h.token) != 401 {
				continue
			}
			t.Run(p.name+"/"+h.name, func(t *testing.T) {
				// The quickest of a few: others may want the processor, too.
				for range 5 {
					mux.ServeHTTP(httptest.NewRecorder(), request(t, p.request(h.token, true)))
					if bytes > 64<<10 || spent <= mostSpent {
						break
					}
				}
				if bytes > 64<<10 || spent > mostSpent {
					t.Errorf("%d bytes allocated in %s for a token of %d", bytes, spent, len(h.token))
				}
			})
		}
	}
}

// mostSpent is over what the largest token takes, 5 ms, for the race detector's
// sake.
const mostSpent = 25 * time.Millisecond

// cost returns how many bytes f allocates once its pools are filled, and how
// long it takes. Whatever else runs can only add to that, so the least of
// several runs counts, and a busy machine is asked more often.
func cost(f func()) (bytes uint64, spent time.Duration) {
	var before, after runtime.MemStats
	bytes, spent = math.MaxUint64, math.MaxInt64
	for i := 0; i < 5 || i < 50 && spent > mostSpent; i++ {
		runtime.ReadMemStats(&before)
		begun := time.Now()
		f()
		spent = min(spent, time.Since(begun))
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return bytes, spent
}

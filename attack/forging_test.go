package attack

import (
	"context"
	"crypto/elliptic"
	"errors"
	"flag"
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
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// A carrier is a part of a request that can contain a token.
type carrier struct {
	name   string
	config func(*wsauth.Config)

	// request returns a handshake, or else a plain request, with the token.
	request func(tok string, handshake bool) string

	// status returns the expected status for a hostile token: 401 if the guard
	// reads it, and 400 if the carrier cannot contain such bytes. It returns 0
	// if the bytes would change the request; the token is then not sent.
	status func(tok string) int
}

func carry(path string, handshake bool, lines ...string) string {
	if handshake {
		return upgrade(path, append(lines, "Origin: "+origin)...)
	}
	return plain("GET", path, lines...)
}

// controls contains the bytes that net/http refuses in headers.
const controls = "\x00\r\n"

var carriers = []carrier{
	{
		name:    "header",
		config:  func(c *wsauth.Config) { c.Extractors = []wsauth.Extractor{wsauth.Header{}} },
		request: func(tok string, h bool) string { return carry("/access", h, "Authorization: Bearer "+tok) },
		status: func(tok string) int {
			switch {
			case strings.TrimRight(tok, " \t\r\n") != tok:
				return 0 // white space at the end of a line does not belong to the value
			case strings.ContainsAny(tok, controls+" \t,"):
				return 400
			}
			return 401
		},
	},
	{
		name:   "cookie",
		config: func(c *wsauth.Config) { c.Extractors = []wsauth.Extractor{wsauth.Cookies{InsecureNoCSRF: true}} },
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
		config:  func(c *wsauth.Config) { c.Extractors = []wsauth.Extractor{wsauth.Query{Name: "token"}} },
		request: func(tok string, h bool) string { return carry("/access?a=b&token="+url.QueryEscape(tok), h) },
		status:  func(string) int { return 401 },
	},
	{
		name:    "path",
		config:  func(c *wsauth.Config) { c.Extractors = []wsauth.Extractor{wsauth.PathValue{Name: "token"}} },
		request: func(tok string, h bool) string { return carry("/path/"+url.PathEscape(tok), h) },
		status: func(tok string) int {
			switch {
			case tok == "..":
				return 0 // the request would have another path
			case url.PathEscape(tok) != tok:
				return 400
			}
			return 401
		},
	},
}

func carrierConfig(t testing.TB, p carrier) wsauth.Config {
	t.Helper()
	c := wsauth.Config{Verifier: newVerifier(t, 0), Origins: []string{origin}}
	p.config(&c)
	return c
}

// trapURL returns a URL. The test fails if the guard connects to it.
func trapURL(t *testing.T) (address string) {
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
			t.Error("the guard has connected to the URL of a token")
		}
	})
	return "http://" + l.Addr().String() + "/keys"
}

// pieces returns the parts of a token that must not appear anywhere.
func pieces(tok string) []string {
	secrets := []string{tok}
	secrets = append(secrets, strings.Split(tok, ".")...)
	secrets = append(secrets, url.QueryEscape(tok), "the-id", "the-login", "alice")
	return slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 5 })
}

var update = flag.Bool("update", false, "write testdata/tokens anew")

// TestTokenVectors checks the answer to every token vector, in every carrier,
// in a handshake and in a plain request.
func TestTokenVectors(t *testing.T) {
	if *update {
		synctest.Test(t, func(t *testing.T) { writeVectors(t, corpus()) })
	}
	all := slices.Concat(wstest.Vectors(t, "testdata/tokens"), large())
	if len(all) < 400 {
		t.Fatalf("only %d tokens", len(all))
	}
	for _, p := range carriers {
		for _, v := range all {
			status := p.status(v.Text)
			if status == 0 {
				continue
			}
			t.Run(p.name+"/"+v.String(), func(t *testing.T) {
				inBubble(t, func() wsauth.Config { return carrierConfig(t, p) }, func(t *testing.T, x *bubble) {
					started := time.Now()
					for _, handshake := range []bool{true, false} {
						a := x.ask(t, "", p.request(v.Text, handshake))
						switch {
						case v.Expect == "":
							wantNoneOf(t, x.wantSuccess(t, a), append(strings.Split(v.Text, "."), url.QueryEscape(v.Text))...)
						case status == 401:
							x.wantRefusal(t, a, wsauth.Reason(v.Expect), pieces(v.Text)...)
						default:
							if a.StatusCode != status {
								t.Errorf("status %d, want %d: %s", a.StatusCode, status, a.body)
							}
							x.wantSilence(t, a, pieces(v.Text)...)
						}
						a.conn.Close()
					}
					if spent := time.Since(started); spent != 0 { // J6: no command in a key ID was executed
						t.Errorf("the answers took %s, want no time", spent)
					}
				})
			})
		}
	}
}

// wantNoneOf checks that the handler saw none of the secrets.
func wantNoneOf(t *testing.T, seen string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(seen, secret) {
			t.Errorf("the handler sees %q in\n%s", secret, seen)
		}
	}
}

// TestTokenVectorsByClose checks that a guard that refuses by a close frame
// refuses the same vectors.
func TestTokenVectorsByClose(t *testing.T) {
	p := carriers[2]
	for _, v := range slices.Concat(wstest.Vectors(t, "testdata/tokens"), large()) {
		if v.Expect == "" {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			inBubble(t, func() wsauth.Config {
				c := carrierConfig(t, p)
				c.Refusal = wsauth.RefuseClose
				return c
			}, func(t *testing.T, x *bubble) {
				a := x.ask(t, "", p.request(v.Text, true))
				code, reason := a.closeFrame(t)
				if code != 3000 || reason != v.Expect {
					t.Errorf("closed with %d %q, want %q", code, reason, v.Expect)
				}
				a.body = reason
				x.wantSilence(t, a, pieces(v.Text)...)
			})
		})
	}
}

// TestKeyURL checks that the guard does not connect to the attacker's URL if a
// token points to a key there (J8).
func TestKeyURL(t *testing.T) {
	evil := trapURL(t)
	for _, p := range carriers {
		x := newTarget(t, carrierConfig(t, p))
		for _, name := range []string{"jku", "x5u", "JKU"} {
			for _, kid := range []string{"hs", "rs", "new", ""} {
				tok := compact(head("HS256", kid, fmt.Sprintf(",%q:%q", name, evil)), claims(), macSigner([]byte("the attacker's own secret, long enough for HS256")))
				x.wantRefusal(t, x.send(t, p.request(tok, true)), wsauth.TokenInvalid, pieces(tok)...)
			}
		}
	}
}

// TestSubstitution checks that the guard refuses a token of one kind where it
// requires another (J34).
func TestSubstitution(t *testing.T) {
	x := newTarget(t, carrierConfig(t, carriers[0]))
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

// twinSignature returns the other valid signature, (r, n-s), that anyone can
// make from an ES256 signature.
func twinSignature(signature string) string {
	s := new(big.Int).SetBytes([]byte(signature[32:]))
	return signature[:32] + encodeES256(s.Sub(elliptic.P256().Params().N, s))
}

// TestTwinSignature checks that revoking a token also revokes the token with
// the twin of its signature, since the revocation names the jti (J18).
func TestTwinSignature(t *testing.T) {
	revoked := func(_ context.Context, c *token.Claims) (bool, error) { return c.ID == "the-id", nil }
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Denylist: revoked})
	input := b64(head("ES256", "es", "")) + "." + b64(claims())
	signature := signES(input)
	for name, s := range map[string]string{"J18/original": signature, "J18/twin": twinSignature(signature)} {
		t.Run(name, func(t *testing.T) {
			x.wantRefusal(t, x.send(t, upgrade("/access", "Authorization: Bearer "+input+"."+b64(s))), wsauth.TokenRevoked)
		})
	}
}

// TestCost checks that a hostile token costs a bounded amount of memory and
// time, however long it is.
func TestCost(t *testing.T) {
	for _, p := range carriers {
		guard, err := wsauth.New(carrierConfig(t, p))
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
		for _, v := range slices.Concat(large(), wstest.Vectors(t, "testdata/tokens")) {
			if p.status(v.Text) != 401 || v.Expect == "" {
				continue
			}
			t.Run(p.name+"/"+v.String(), func(t *testing.T) {
				// Take the fastest of a few runs, as the machine may be busy.
				for range 5 {
					mux.ServeHTTP(httptest.NewRecorder(), request(t, p.request(v.Text, true)))
					if bytes > 64<<10 || spent <= maxTime {
						break
					}
				}
				if bytes > 64<<10 || spent > maxTime {
					t.Errorf("%d bytes allocated in %s for a token of %d bytes", bytes, spent, len(v.Text))
				}
			})
		}
	}
}

// maxTime limits the duration of a check. The largest token takes 5 ms, and
// more with the race detector.
const maxTime = 25 * time.Millisecond

// cost returns how many bytes f allocates, once its pools are filled, and how
// long it takes. Both are the minimum of several runs, since other work can
// only add to them. On a busy machine, it makes more runs.
func cost(f func()) (bytes uint64, spent time.Duration) {
	var before, after runtime.MemStats
	bytes, spent = math.MaxUint64, math.MaxInt64
	for i := 0; i < 5 || i < 50 && spent > maxTime; i++ {
		runtime.ReadMemStats(&before)
		started := time.Now()
		f()
		spent = min(spent, time.Since(started))
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return bytes, spent
}

package attack

import (
	"net/http"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/token"
)

// TestAppParameters checks that a token in a query parameter that no extractor
// reads is refused, unless AppParameters contains the parameter.
func TestAppParameters(t *testing.T) {
	made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	theirs := strings.Replace(made.Raw, ".", ".eyJ", 1) // resembles a token, but is the application's
	const malformed = wsauth.InvalidRequest
	for _, c := range []struct {
		name, query string
		of          []string
		want        wsauth.Reason
	}{
		{"access_token", "access_token=theirs", nil, malformed},
		{"access_token empty", "access_token=", nil, malformed},
		{"token", "token=" + theirs, nil, malformed},
		{"no JWT", "token=theirs", nil, ""},
		{"access_token", "access_token=theirs", []string{"access_token"}, ""},
		{"access_token twice", "access_token=a&access_token=" + theirs, []string{"access_token"}, ""},
		{"token", "a=b&token=" + theirs, []string{"access_token", "token"}, ""},
		{"the other one", "token=" + theirs, []string{"access_token"}, malformed},
		{"one of both", "access_token=x&token=" + theirs, []string{"token"}, malformed},
		{"all", "access_token=x&token=" + theirs, []string{"*"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTarget(t, wsauth.Config{
				Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Cookies{}, wsauth.Header{}}, Origins: []string{origin}, AppParameters: c.of,
			})
			for _, path := range []string{"/access", "/optional"} {
				for _, raw := range []string{
					upgrade(path+"?"+c.query, cookie(made.Raw), csrf(made.Claims.CSRF), fromOurs),
					plain("GET", path+"?"+c.query, cookie(made.Raw)),
					plain("GET", path+"?"+c.query, bearer(made.Raw)),
				} {
					a := x.send(t, raw)
					if c.want != "" {
						x.wantRefusal(t, a, c.want, theirs)
						continue
					}
					if seen := x.wantSuccess(t, a); !strings.Contains(seen, path+"?"+c.query) {
						t.Errorf("the handler does not see the query:\n%s", seen)
					}
				}
			}
			if c.want == "" { // the parameter is not a credential
				x.wantRefusal(t, x.send(t, upgrade("/access?"+c.query, fromOurs)), wsauth.TokenMissing)
			}
		})
	}
}

// TestAppParametersInTheLog checks that the log line of such a refusal names
// AppParameters, and does not contain the token.
func TestAppParametersInTheLog(t *testing.T) {
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0)})
	x.send(t, plain("GET", "/access?access_token=SECRET"))
	if logged := x.log.Take(); !strings.Contains(logged, "AppParameters") || strings.Contains(logged, "SECRET") {
		t.Errorf("the log does not name the setting: %s", logged)
	}
}

func TestInvalidAppParameters(t *testing.T) {
	for name, c := range map[string]struct {
		extractors []wsauth.Extractor
		of         string
	}{
		"empty":     {nil, ""},
		"escaped":   {nil, "a b"},
		"query":     {[]wsauth.Extractor{wsauth.Query{Name: "token"}}, "token"},
		"ticket":    {[]wsauth.Extractor{wsauth.Ticket{Name: "t"}}, "t"},
		"csrf":      {[]wsauth.Extractor{wsauth.Cookies{CSRFQuery: "c"}}, "c"},
		"of others": {[]wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}}, "ticket"},
	} {
		config := ticketConfig(t)
		config.Extractors, config.AppParameters = c.extractors, []string{"fine", c.of}
		if _, err := wsauth.New(config); err == nil || !strings.Contains(err.Error(), "Config.AppParameters[1]: ") {
			t.Errorf("%s: got %v, want an error with %q", name, err, "Config.AppParameters[1]: ")
		}
	}
}

// TestTicketsOfTheApplication checks that a parameter named ticket belongs to
// the application if no reading of its value can be a ticket of ours.
func TestTicketsOfTheApplication(t *testing.T) {
	made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	c := ticketConfig(t)
	c.Extractors = []wsauth.Extractor{wsauth.Ticket{}, wsauth.Header{}, wsauth.Cookies{}}
	x := newTarget(t, c)
	mine := ticket(t, x.guard, made.Claims, "/access")
	for query, want := range map[string]wsauth.Reason{
		"ticket=ST-1":                        "",
		"ticket=ST-1&ticket=ST-2":            "",
		"ticket=&ticket":                     "",
		"ticket=a;b&c;ticket=d":              "",
		"%74icket=a%20b":                     "",
		"ticket=a&+ticket=b":                 "",
		"ticket=a&ticket=" + mine:            wsauth.InvalidRequest,
		"ticket=a&%74icket=" + mine:          wsauth.InvalidRequest,
		"ticket=a&ticket=%77" + mine[1:]:     wsauth.InvalidRequest,
		"ticket=a;ticket=" + mine:            wsauth.InvalidRequest,
		"ticket=a&ticket=wst_":               wsauth.InvalidRequest,
		"ticket=a&ticket=" + made.Raw:        wsauth.InvalidRequest,
		"ticket=%zz&ticket=a":                wsauth.InvalidRequest, // the invalid escape makes it ambiguous
		"ticket=a;x=" + mine:                 wsauth.InvalidRequest,
		"ticket=" + mine + "&ticket=" + mine: wsauth.InvalidRequest,
	} {
		for name, raw := range map[string]string{
			"header": plain("GET", "/access?"+query, bearer(made.Raw)),
			"cookie": upgrade("/access?"+query, cookie(made.Raw), csrf(made.Claims.CSRF), fromOurs),
			"none":   upgrade("/optional?"+query, fromOurs),
		} {
			a := x.send(t, raw)
			if want != "" {
				x.wantRefusal(t, a, want, mine)
				continue
			}
			if seen := x.wantSuccess(t, a); !strings.Contains(seen, "?"+query+" ") {
				t.Errorf("%s: the handler does not see the query %s:\n%s", name, query, seen)
			}
		}
		if want == "" && query != "ticket=&ticket" {
			x.wantRefusal(t, x.send(t, upgrade("/access?"+query, fromOurs)), wsauth.TokenInvalid)
		}
	}
}

// TestFirstMessageWithForeignTickets checks that a client may authenticate
// with its first message if its handshake has a ticket of the application.
func TestFirstMessageWithForeignTickets(t *testing.T) {
	config := func() wsauth.Config {
		c := firstMessageConfig()
		c.Extractors, c.Tickets = append(c.Extractors, wsauth.Ticket{}), ticketConfig(t).Tickets
		return c
	}
	inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
		c := socketOf(t, x.ask(t, "", upgrade("/access?ticket=ST-1", fromOurs)))
		c.say(auth(access(t)))
		if reply := c.nextMessage(t); !strings.Contains(reply, `"auth_ok"`) {
			t.Errorf("got the reply %s", reply)
		}
		c.hangUp()
	})
}

// TestTicketParameterNamedToken checks that the parameter for tickets may have
// a name that usually belongs to tokens.
func TestTicketParameterNamedToken(t *testing.T) {
	alice := issue(t, token.TypeAccess, "alice", token.Options{})
	for _, name := range []string{"token", "access_token"} {
		c := ticketConfig(t)
		c.Extractors = []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{Name: name}}
		x := newTarget(t, c)
		x.wantSuccess(t, x.send(t, upgrade("/access?"+name+"="+ticket(t, x.guard, alice.Claims, "/access"), fromOurs)))
		x.wantRefusal(t, x.send(t, upgrade("/optional?"+name+"="+alice.Raw, fromOurs)), wsauth.TokenInvalid)
		if name == "access_token" {
			x.wantRefusal(t, x.send(t, upgrade("/optional?"+name+"=theirs", fromOurs)), wsauth.InvalidRequest)
		} else {
			x.wantSuccess(t, x.send(t, upgrade("/optional?"+name+"=theirs", fromOurs)))
		}
	}
}

// TestContainsTicket checks that ContainsTicket finds tickets within other
// text, and finds nothing else.
func TestContainsTicket(t *testing.T) {
	c := ticketConfig(t)
	guard, err := wsauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	k := ticket(t, guard, issue(t, token.TypeAccess, "alice", token.Options{}).Claims, "/ws")
	if !strings.HasPrefix(k, httpx.TicketPrefix) || strings.ContainsAny(k, "%&;= /") {
		t.Errorf("a ticket is %q", k)
	}
	for s, want := range map[string]bool{
		k: true, "/ws?ticket=" + k: true, "x" + k + "x": true, "wst_" + k: true, "wst_wst_A" + k: true, k[:len(k)-1]: false, strings.ToLower(k): false,
		strings.TrimPrefix(k, httpx.TicketPrefix): false, "wst_": false, "newst_id": false, "": false, "ST-1-abc": false,
		strings.Replace(k, "_", "-", 1): false, k[:10] + "%" + k[10:]: false,
	} {
		if httpx.ContainsTicket(s) != want {
			t.Errorf("ContainsTicket(%q) = %t, want %t", s, !want, want)
		}
	}
}

// An ambientExtractor reads a header as a credential that browsers send on
// their own, like a client certificate.
type ambientExtractor struct{ wsauth.Header }

func (l ambientExtractor) Extract(r *http.Request, q wsauth.Requirement) (wsauth.Credential, error) {
	c, err := l.Header.Extract(r, q)
	c.Ambient = c.Token != ""
	return c, err
}

// TestAnyOrigin checks that pages of every origin open sockets if they send a
// credential that browsers do not send on their own.
func TestAnyOrigin(t *testing.T) {
	made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	x := newTarget(t, wsauth.Config{
		Verifier: newVerifier(t, 0), AnyOrigin: true,
		Extractors: []wsauth.Extractor{wsauth.Header{}, ambientExtractor{wsauth.Header{Name: "X-Cert", NoScheme: true}}},
	})
	for _, from := range []string{"https://evil.example", "null", "http://localhost", "https://" + host, "app://x"} {
		x.wantSuccess(t, x.send(t, upgrade("/access", "Origin: "+from, bearer(made.Raw))))
		x.wantSuccess(t, x.send(t, upgrade("/optional", "Origin: "+from, "Sec-Fetch-Site: cross-site", cookie(made.Raw))))
		x.wantRefusal(t, x.send(t, upgrade("/access", "Origin: "+from)), wsauth.TokenMissing)
		x.wantRefusal(t, x.send(t, upgrade("/access", "Origin: "+from, "X-Cert: "+made.Raw)), wsauth.OriginNotAllowed)
	}
	x.wantRefusal(t, x.send(t, upgrade("/access", "Origin: a://b", "Origin: a://b", bearer(made.Raw))), wsauth.OriginNotAllowed)
	x.wantSuccess(t, x.send(t, upgrade("/access", bearer(made.Raw))))
	x.wantSuccess(t, x.send(t, plain("GET", "/access", "X-Cert: "+made.Raw)))
}

func TestInvalidAnyOrigin(t *testing.T) {
	v := newVerifier(t, 0)
	for name, c := range map[string]wsauth.Config{
		"cookies":  {Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}}},
		"embedded": {Extractors: []wsauth.Extractor{struct{ wsauth.Cookies }{wsauth.Cookies{}}}},
		"origins":  {Origins: []string{origin}},
		"insecure": {InsecureAnyOrigin: true},
	} {
		c.Verifier, c.AnyOrigin = v, true
		if _, err := wsauth.New(c); err == nil || !strings.Contains(err.Error(), "Config.AnyOrigin: ") {
			t.Errorf("%s: got %v, want an error with %q", name, err, "Config.AnyOrigin: ")
		}
	}
}

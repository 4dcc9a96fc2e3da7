package gateway

import (
	"io"
	"net/http"
)

// withCORS notes by which policy a request is answered, so that every answer
// follows it, whoever gives it and however early.
func (g *Gateway) withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now := g.routing.Load(); g.cors != nil || now != nil && now.cors || isPublished(r.URL.Path) {
			x := recordOf(r.Context())
			x.share(g.corsOf(r, now, x), r)
		}
		next.ServeHTTP(w, r)
	})
}

// corsOf returns the policy of what a request is for, and notes in x
// which route that is where a preflight gets no further.
func (g *Gateway) corsOf(r *http.Request, now *routing, x *record) *corsPolicy {
	if isOwnPath(r.URL.Path, g.authPrefix, g.noAuth, now != nil && now.asserts) {
		if isPublished(r.URL.Path) {
			return publishedCORS
		}
		return g.cors
	}
	if now == nil || isHealth(r.URL.Path) && !now.names(r) {
		return nil
	}
	p := now.router.find(r)
	if p == nil {
		return nil
	}
	if other := now.router.bypassed(targetOf(r), p); other != nil { // to which it is redirected
		p = other
	}
	if p.cors != nil && r.Method == http.MethodOptions {
		x.route = p.label
	}
	return p.cors
}

// publishedCORS lets pages of every origin read the published keys, as
// identity providers do: whoever verifies a token needs them, also in a
// browser.
var publishedCORS = newCORSPolicy("", &CORS{
	Origins: []string{everyOrigin}, Methods: []string{http.MethodGet, http.MethodHead}, Expose: []string{},
}, nil)

// answerPreflights answers preflights where the gateway says who may read
// answers.
func (g *Gateway) answerPreflights(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions || !isPreflight(r) {
			next.ServeHTTP(w, r)
			return
		}
		x := recordOf(r.Context())
		if x.cors == nil {
			next.ServeHTTP(w, r)
			return
		}
		p := x.cors.policy
		x.cors = nil // it is all said here
		if p.allow(r.Header["Origin"]) == "" {
			g.log.Info("refused", "reason", "origin_not_allowed", "route", p.name, "remote", r.RemoteAddr,
				"origin", printable(r.Header["Origin"][0]), "error", "a preflight of an origin that cors.origins does not name")
		}
		p.preflight(w, r)
	})
}

// A corsAnswer is the policy that an answer follows, and for whose page.
type corsAnswer struct {
	policy *corsPolicy
	origin []string // the lines of the request
}

// share has the answer to r follow a policy; nil is none.
func (x *record) share(p *corsPolicy, r *http.Request) {
	switch {
	case p == nil:
		x.cors = nil
	case x.cors == nil || x.cors.policy != p:
		x.cors = &corsAnswer{p, r.Header["Origin"]}
	}
}

// sharedWith returns the policy that the answer to r follows, if that lets the
// page of r read it; otherwise nil.
func sharedWith(r *http.Request) *corsPolicy {
	c := recordOf(r.Context()).cors
	if c == nil || c.policy.allow(r.Header["Origin"]) == "" {
		return nil
	}
	return c.policy
}

// preflightFields are the headers of a preflight that reach an upstream: none
// that could say who the client is, or another method.
var preflightFields = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "Origin": true, "Pragma": true, "User-Agent": true,
	"Access-Control-Request-Headers": true, "Access-Control-Request-Method": true, "Access-Control-Request-Private-Network": true,
	"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true,
	loopHeader: true,
}

// passPreflight has the upstream answer a preflight that it gets as nobody's.
// Credentials in the query are those of the request that is to follow: they
// are removed, and no ticket is used up.
func (p *proxy) passPreflight(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	for name := range r.Header {
		if !preflightFields[name] {
			delete(r.Header, name)
		}
	}
	for _, l := range p.locations {
		l.Strip(r)
	}
	p.gateway.own.strip(r)
	p.servePlain(w, r, nil)
}

// isPassedPreflight reports whether a request to the upstream of p is a
// preflight: nobody was asked who sends it, although the route asks.
func (p *proxy) isPassedPreflight(pass *passage) bool { return pass.socket == nil && !p.route.Public }

// answerFields are the headers of an upstream's answer to a preflight that are
// passed on, beside those of CORS: none that a browser does not read, and that
// could tell nobody what the route guards, or set a cookie.
var answerFields = map[string]bool{
	"Age": true, "Allow": true, "Cache-Control": true, "Date": true, "Expires": true, "Retry-After": true, "Vary": true,
}

// bareAnswer leaves of an upstream's answer to a preflight what a browser
// reads of it: a server that takes OPTIONS for GET would answer nobody with
// what the route guards.
func bareAnswer(response *http.Response) {
	_ = response.Body.Close()
	response.Body, response.ContentLength, response.Trailer = http.NoBody, 0, nil
	for name := range response.Header {
		if !answerFields[name] && !isCORSField(name) {
			delete(response.Header, name)
		}
	}
}

// A trailedBody is the body of an upstream's answer whose trailers say nothing
// about CORS. They are known once it is closed.
type trailedBody struct {
	io.ReadCloser
	response *http.Response
}

func (b *trailedBody) Close() error {
	err := b.ReadCloser.Close()
	dropCORSFields(b.response.Trailer)
	return err
}

// dropCORSTrailers keeps the trailers of an upstream's answer from saying
// something about CORS, beside what the gateway says in the header.
func dropCORSTrailers(response *http.Response) {
	if response.Body != http.NoBody {
		dropCORSFields(response.Trailer) // the names that are announced
		response.Body = &trailedBody{response.Body, response}
	}
}

package gateway

import (
	"io"
	"net/http"
)

// corsOf returns the CORS policy of a request, which every answer to it
// follows: an upstream's, the gateway's, and an early refusal. It records the
// route of an OPTIONS request in x, since the gateway may answer that before
// it chooses the route.
func (g *Gateway) corsOf(r *http.Request, m match, x *record) *corsPolicy {
	switch {
	case m.own && isPublished(r.URL.Path):
		return publishedCORS
	case m.own:
		return g.cors
	case m.proxy == nil || isHealth(r.URL.Path) && !m.isExact(r):
		return nil
	}
	p := m.proxy
	if m.bypassed != nil {
		p = m.bypassed // to which the request is redirected
	}
	if p.cors != nil && r.Method == http.MethodOptions {
		x.route = p.label
	}
	return p.cors
}

// publishedCORS allows pages of every origin to read the published keys, as
// identity providers do: verifiers in browsers need them, too.
var publishedCORS = newCORSPolicy("", &CORS{
	Origins: []string{everyOrigin}, Methods: []string{http.MethodGet, http.MethodHead}, Expose: []string{},
}, nil)

// answerPreflight answers a preflight that has a policy of the gateway. It
// returns false for all other requests.
func (g *Gateway) answerPreflight(w http.ResponseWriter, r *http.Request, x *record) bool {
	if r.Method != http.MethodOptions || x.cors == nil || !isPreflight(r) {
		return false
	}
	p := x.cors.policy
	x.cors = nil // preflight writes the headers
	if p.allow(r.Header["Origin"]) == "" {
		g.log.Info("refused", "reason", "origin_not_allowed", "route", p.name, "remote", r.RemoteAddr,
			"origin", printable(r.Header["Origin"][0]), "error", "a preflight of an origin that cors.origins does not name")
	}
	p.preflight(w, r)
	return true
}

// A corsAnswer is a policy and the request fields that it is applied to.
type corsAnswer struct {
	policy *corsPolicy
	origin []string // the Origin fields of the request
}

// share sets the policy for the answer to r; nil means none.
func (x *record) share(p *corsPolicy, r *http.Request) {
	switch {
	case p == nil:
		x.cors = nil
	case x.cors == nil || x.cors.policy != p:
		x.cors = &corsAnswer{p, r.Header["Origin"]}
	}
}

// sharedWith returns the policy for the answer to r if it allows the page of r
// to read it, and nil otherwise.
func sharedWith(r *http.Request) *corsPolicy {
	c := recordOf(r.Context()).cors
	if c == nil || c.policy.allow(r.Header["Origin"]) == "" {
		return nil
	}
	return c.policy
}

// preflightFields are the request headers of a preflight that are passed to an
// upstream. None of them can identify the client or override the method.
var preflightFields = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "Origin": true, "Pragma": true, "User-Agent": true,
	"Access-Control-Request-Headers": true, "Access-Control-Request-Method": true, "Access-Control-Request-Private-Network": true,
	"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true,
	loopHeader: true,
}

// passPreflight passes a preflight to the upstream as an anonymous request.
// Credentials in the query belong to the request that follows: they are
// removed, and a ticket is not used up.
func (p *proxy) passPreflight(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	for name := range r.Header {
		if !preflightFields[name] {
			delete(r.Header, name)
		}
	}
	for _, l := range p.extractors {
		l.Strip(r)
	}
	p.gateway.ownTokens.strip(r)
	p.servePlain(w, r, nil, true)
}

// answerFields are the headers of an upstream's answer to a preflight that are
// passed on, beside those of CORS. Others are of no use to a browser, and
// might set a cookie or disclose what the route guards.
var answerFields = map[string]bool{
	"Age": true, "Allow": true, "Cache-Control": true, "Date": true, "Expires": true, "Retry-After": true, "Vary": true,
}

// bareAnswer removes the body and most headers from an upstream's answer to a
// preflight: a server that handles OPTIONS like GET would disclose what the
// route guards.
func bareAnswer(response *http.Response) {
	_ = response.Body.Close()
	response.Body, response.ContentLength, response.Trailer = http.NoBody, 0, nil
	for name := range response.Header {
		if !answerFields[name] && !isCORSField(name) {
			delete(response.Header, name)
		}
	}
}

// A trailedBody is the body of an upstream's answer. Close removes the CORS
// fields from the trailers, which are complete by then.
type trailedBody struct {
	io.ReadCloser
	response *http.Response
}

func (b *trailedBody) Close() error {
	err := b.ReadCloser.Close()
	dropCORSFields(b.response.Trailer)
	return err
}

// dropCORSTrailers removes CORS fields from the trailers of an upstream's
// answer, since they could contradict the gateway's headers.
func dropCORSTrailers(response *http.Response) {
	if response.Body != http.NoBody {
		dropCORSFields(response.Trailer) // the announced names
		response.Body = &trailedBody{response.Body, response}
	}
}

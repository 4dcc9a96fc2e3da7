package proxy

import (
	"io"
	"net/http"
	"slices"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
)

// CORSOf returns the CORS policy of a request, or nil if the gateway sets no
// CORS headers. Every answer follows it: an upstream's, the gateway's, and an
// early refusal. isHealth reports whether r is a health check. CORSOf records
// the route of an OPTIONS request, which may be answered before the route
// serves it.
func (rs *Routes) CORSOf(r *http.Request, m *Match, isHealth bool) *CORSPolicy {
	switch {
	case m.Own:
		return rs.ownCORS(r.URL.Path)
	case !m.table.cors || isHealth:
		return nil
	}
	p := m.lookUp(r)
	if p == nil {
		return nil
	}
	if other := m.findBypassed(r); other != nil {
		p = other // the request is redirected to its path
	}
	if p.cors != nil && r.Method == http.MethodOptions {
		telemetry.From(r.Context()).SetRoute(p.label)
	}
	return p.cors
}

// ownCORS returns the policy of one of the gateway's own paths, or nil if it
// has none.
func (rs *Routes) ownCORS(path string) *CORSPolicy {
	if path == rs.config.Own.Keys || slices.Contains(rs.config.Own.Published, path) {
		return publishedCORS
	}
	return rs.cors
}

// OwnCORS reports whether the policy for the gateway's own paths lets the page
// that sent r read the answer, and send cookies. It reports false for all other
// paths.
func (rs *Routes) OwnCORS(r *http.Request) (allowed, credentials bool) {
	if !rs.table.Load().isOwn(r.URL.Path) {
		return false, false
	}
	p := rs.ownCORS(r.URL.Path)
	if p == nil || p.allow(r.Header["Origin"]) == "" {
		return false, false
	}
	return true, p.credentials
}

// publishedCORS allows pages of every origin to read the published keys, as
// identity providers do: verifiers in browsers need them, too.
var publishedCORS = newCORSPolicy("", &CORS{
	Origins: []string{everyOrigin}, Methods: []string{http.MethodGet, http.MethodHead}, Expose: []string{},
}, nil)

// AnswerPreflight answers r if it is a preflight and p is not nil. Otherwise it
// returns false. w must not be wrapped by p.
func (rs *Routes) AnswerPreflight(w http.ResponseWriter, r *http.Request, p *CORSPolicy) bool {
	if p == nil || r.Method != http.MethodOptions || !isPreflight(r) {
		return false
	}
	if p.allow(r.Header["Origin"]) == "" {
		rs.log.Info("refused", "reason", "origin_not_allowed", "route", p.name, "remote", r.RemoteAddr,
			"origin", logtext.Short(r.Header["Origin"][0]), "error", "a preflight of an origin that is not in cors.origins")
	}
	p.preflight(w, r)
	return true
}

// Wrap returns a writer that adds the CORS headers of p to the answer to r. It
// returns w itself if p is nil.
func (p *CORSPolicy) Wrap(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if p == nil {
		return w
	}
	return &corsWriter{ResponseWriter: w, policy: p, origin: r.Header["Origin"]}
}

// A corsWriter writes the CORS headers of a policy into the head of an answer.
// It does so just before the head is sent: a proxy copies the upstream's
// headers late, and clears the header after an interim answer.
type corsWriter struct {
	http.ResponseWriter
	policy  *CORSPolicy
	origin  []string // the Origin fields of the request
	started bool     // the head of the final answer was written
}

// WriteHeader writes the head of an interim or final answer.
func (w *corsWriter) WriteHeader(status int) {
	w.policy.write(w.Header(), w.origin)
	w.started = w.started || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

func (w *corsWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController access to the other methods.
func (w *corsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
	p.routes.ownTokens.strip(r)
	p.servePlain(w, r, nil, true)
}

// answerFields are the headers of an upstream's answer to a preflight that are
// passed on, in addition to those of CORS. Others are of no use to a browser,
// and might set a cookie or disclose what the route guards.
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

package wsclient

import (
	"net/http"
	"slices"

	"wsauth"
)

// isGuardReason reports whether reason is one of the guard's reasons.
func isGuardReason(reason string) bool {
	return slices.Contains(wsauth.Reasons(), wsauth.Reason(reason))
}

// others describes the close codes that are not sent by a guard, as in
// docs/close-codes.md.
var others = map[int]struct {
	means  string
	advice wsauth.Advice
}{
	1000: {"normal closure", ""},
	1001: {"the peer is going away", wsauth.AdviceWait},
	1002: {"a frame violates RFC 6455", wsauth.AdviceReconnect},
	1003: {"messages of this type are not accepted", wsauth.AdviceReconnect},
	1007: {"a text is not valid UTF-8", wsauth.AdviceReconnect},
	1008: {"too many frames were sent", wsauth.AdviceReconnect},
	1006: {"the connection failed, or was never opened", wsauth.AdviceReconnect},
}

// explain returns the meaning of a close code and reason, and what to do. For
// the guard's codes, the meaning depends on the reason, and the advice only on
// the code. For unknown codes the advice is to reconnect, as in the browser
// module.
func explain(code int, reason string) (means string, advice wsauth.Advice) {
	if r := wsauth.Reason(reason); isGuardReason(reason) && r.Outcome().Code == code {
		return r.Outcome().Text, r.Outcome().Advice
	}
	for _, r := range wsauth.Reasons() {
		if r.Outcome().Code == code {
			return "", r.Outcome().Advice
		}
	}
	if o, ok := others[code]; ok {
		return o.means, o.advice
	}
	if code >= 4000 && code <= 4999 {
		means = "defined by the application"
	}
	return means, wsauth.AdviceReconnect
}

// adviceOf returns what to do after an HTTP response: the advice for its
// reason, or for the corresponding close code.
func adviceOf(status int, reason string) wsauth.Advice {
	if isGuardReason(reason) {
		return wsauth.Reason(reason).Outcome().Advice
	}
	_, advice := explain(codeOf(status), "")
	return advice
}

// codeOf returns the close code that corresponds to an HTTP status, as in
// client/advice.js.
func codeOf(status int) int {
	switch {
	case status == http.StatusUnauthorized:
		return wsauth.CloseUnauthorized
	case status == http.StatusRequestTimeout:
		return wsauth.CloseTimeout
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return codeTryAgainLater
	}
	return wsauth.CloseForbidden
}

// final reports whether repeating the refused request is useless. The response
// of a proxy, for example while the server restarts, is never final.
func final(r *Refusal) bool {
	if !r.own {
		return false
	}
	switch adviceOf(r.Status, r.Reason) {
	case wsauth.AdviceRenew, wsauth.AdviceStop:
		return true
	}
	return false
}

package wsclient

import (
	"net/http"
	"slices"

	"wsauth"
)

// known reports whether a reason is one of the guard's.
func known(reason string) bool { return slices.Contains(wsauth.Reasons(), wsauth.Reason(reason)) }

// others are the close codes that others than a guard send, as docs/close-codes.md has them.
var others = map[int]struct {
	means  string
	advice wsauth.Advice
}{
	1000: {"both have agreed to end", ""},
	1001: {"it is going away", wsauth.AdviceWait},
	1002: {"a frame broke the rules of RFC 6455", wsauth.AdviceReconnect},
	1003: {"it does not accept such messages", wsauth.AdviceReconnect},
	1007: {"a text was not UTF-8", wsauth.AdviceReconnect},
	1008: {"too many frames came", wsauth.AdviceReconnect},
	1006: {"the connection broke, or there never was one", wsauth.AdviceReconnect},
}

// explain says what a close code with a reason means, and what to do then. Of the guard's codes the reason has the meaning; each of
// them has one advice, whatever the reason is. What nobody knows asks for another try, as in the browser module.
func explain(code int, reason string) (means string, advice wsauth.Advice) {
	if r := wsauth.Reason(reason); known(reason) && r.Outcome().Code == code {
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
		means = "what the application says"
	}
	return means, wsauth.AdviceReconnect
}

// adviceOf is what to do after an HTTP answer: that of its reason, or of the close code that says the same on a socket.
func adviceOf(status int, reason string) wsauth.Advice {
	if known(reason) {
		return wsauth.Reason(reason).Outcome().Advice
	}
	_, advice := explain(codeOf(status), "")
	return advice
}

// codeOf is the close code that says on a socket what an HTTP status says in an answer, as in client/advice.js.
func codeOf(status int) int {
	switch {
	case status == http.StatusUnauthorized:
		return wsauth.CloseUnauthorized
	case status == http.StatusRequestTimeout:
		return wsauth.CloseTimeout
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return wsauth.CloseTryAgainLater
	}
	return wsauth.CloseForbidden
}

// final reports whether a request that failed so would fail again. What a
// proxy answers in the server's place, as while that restarts, passes.
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

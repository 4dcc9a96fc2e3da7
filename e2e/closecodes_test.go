package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"wsauth"
)

// TestPageHasWordsForEveryReason checks that the page explains each reason of a
// guard with a text of its own, and offers the action that the guard advises.
func TestPageHasWordsForEveryReason(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	page.open(server.url)
	type words struct {
		Title, Meaning, Advice string
		Actions                []string
	}
	explain := func(code int, reason wsauth.Reason) words {
		t.Helper()
		args, err := json.Marshal([]any{code, reason, true})
		if err != nil {
			t.Fatal(err)
		}
		return run[words](page, `import("/assets/closecodes.js").then((m) => m.explain(...`+string(args)+`))`)
	}
	needs := map[wsauth.Advice]string{wsauth.AdviceRenew: "login", wsauth.AdviceReconnect: "reconnect", wsauth.AdviceWait: "reconnect"}
	unknown := explain(4999, "")
	meanings := map[string]wsauth.Reason{}
	for _, reason := range wsauth.Reasons() {
		outcome := reason.Outcome()
		got, bare := explain(outcome.Code, reason), explain(outcome.Code, "")
		switch {
		case bare.Title == unknown.Title:
			t.Errorf("%s: the page does not explain code %d", reason, outcome.Code)
		case got.Title == "" || got.Meaning == "" || got.Advice == "":
			t.Errorf("%s: the page shows %+v", reason, got)
		case got.Meaning == bare.Meaning:
			t.Errorf("%s: the page shows only the text for any %d: %s", reason, outcome.Code, got.Meaning)
		case meanings[got.Meaning] != "":
			t.Errorf("%s: the page shows the same text as for %s: %s", reason, meanings[got.Meaning], got.Meaning)
		}
		meanings[got.Meaning] = reason
		if action := needs[outcome.Advice]; action != "" && !slices.Contains(got.Actions, action) {
			t.Errorf("%s: the page offers %q; the advice is: %s", reason, got.Actions, outcome.Advice)
		}
		if outcome.Advice == wsauth.AdviceStop && slices.Contains(got.Actions, "refresh") {
			t.Errorf("%s: the page offers a refresh, after which the answer would be the same", reason)
		}
	}
}

package wsauth

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestNumbersInPages checks that pages state the guard's numbers as they are in
// the code.
func TestNumbersInPages(t *testing.T) {
	guard, err := New(Config{Verifier: refusingVerifier{}, Revocations: memory.New(store.Limits{})})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Shutdown(t.Context()) //nolint:errcheck // nothing is open
	s := func(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }
	words := map[int]string{5: "five", 10: "ten"}
	half := func(d time.Duration) string { return s(d / 2) }
	silence := words[int((FirstMessage{}).timeout().Seconds())]
	held := maxHold + wsconn.Grace // the maximum for a refused socket
	staleness, limits := guard.config.Staleness, guard.config.Limits
	for page, sentences := range map[string][]string{
		"close-codes.md": {
			fmt.Sprintf("does not finish its frame within %s", half(wsconn.Grace)),
		},
		"sessions.md": {
			fmt.Sprintf("after `Config.Staleness` (%s), one after another within %s", s(staleness), s(endStaleWithin)),
			fmt.Sprintf("A process that was stopped for %s or more", s(pauseAfter)),
			fmt.Sprintf("until then, for at most %s, sockets forward no frames", s(readerTurn)),
			fmt.Sprintf("closed one after another, within %s", s(endStaleWithin)),
			fmt.Sprintf("A client may renew %s times at once and then once per second", words[renewalBurst]),
			"| 1012 `restarting` | one socket per millisecond |",
			"A server that stops closes one socket per millisecond",
			fmt.Sprintf("limited to the number of sockets allowed, but at least %s", words[minEvictions]),
			fmt.Sprintf("kept open for %v to %s before it is closed", minHold.Seconds(), s(maxHold)),
			fmt.Sprintf("closed at once for the first %s per network and one more every %s", words[promptRefusals], s(promptEvery)),
			fmt.Sprintf("%d in total, %d per address (`Unauthenticated`", limits.Unauthenticated, limits.UnauthenticatedPerAddress),
			fmt.Sprintf("Each of these sockets may send at most %d KiB", maxFirstMessage>>10),
			fmt.Sprintf("or until %s seconds have passed (`FirstMessage.Timeout`", silence),
			fmt.Sprintf("at most %s. Such sockets may use at most half of the limit", s(held)),
			fmt.Sprintf("limited in number, and cut after %s seconds or %d KiB", silence, maxFirstMessage>>10),
			fmt.Sprintf("within %s, for pages of the origin that requested it. The store keeps only its hash", s(TicketLife)),
			fmt.Sprintf("to a time within the %s of an unused ticket", s(TicketLife)),
		},
		"security.md": {
			fmt.Sprintf("after a pause of %s or more", s(pauseAfter)),
			fmt.Sprintf("in the middle of a frame has %s to finish it", half(wsconn.Grace)),
			fmt.Sprintf("while it waits for an upstream; after %s the connection is cut", half(wsconn.Grace)),
			fmt.Sprintf("%d sockets whose client has not authenticated, %d of one address, each with %d KiB and %s seconds; and renewals in band, %s at once and then one a second",
				limits.Unauthenticated, limits.UnauthenticatedPerAddress, maxFirstMessage>>10, silence, words[renewalBurst]),
		},
		"gateway.md": {fmt.Sprintf("has not answered for %s", s(staleness))},
		"errors.md": {
			fmt.Sprintf("after %v to %s if the client should wait anyway", minHold.Seconds(), s(maxHold)),
			fmt.Sprintf("if %s clients of its network were refused just before", words[promptRefusals]),
			fmt.Sprintf("more than %d KiB before it authenticated", maxFirstMessage>>10),
		},
	} {
		text, err := os.ReadFile("docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(strings.Fields(string(text)), " ")
		for _, sentence := range sentences {
			if !strings.Contains(all, sentence) {
				t.Errorf("docs/%s does not say %q", page, sentence)
			}
		}
	}
	if renewalEvery != time.Second || endEvery != time.Millisecond {
		t.Errorf("renewals come every %v, ends every %v", renewalEvery, endEvery)
	}
}

// A refusingVerifier accepts no token.
type refusingVerifier struct{}

func (refusingVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return nil, &token.Error{Kind: token.ErrMalformed}
}

package login

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsauth/internal/problem"
)

// TestNumbersInPages checks that numbers in the documentation are those of the
// program.
func TestNumbersInPages(t *testing.T) {
	const day = 24 * time.Hour
	words := map[int]string{2: "two", 4: "four"}
	for page, sentences := range map[string][]string{
		"../docs/sessions.md": {
			"up to " + oneOf(t, defaultRefreshRetry, day, "a day") + " (`--refresh-retry`)",
			fmt.Sprintf("Within %v s (`--refresh-grace`)", defaultRefreshGrace.Seconds()),
			fmt.Sprintf("a random text of 1 to %d letters", maxIdempotencyKey),
			fmt.Sprintf("grants a session %d tickets at once (`ticket_burst`) and then %s per second", defaultTicketBurst, words[defaultTicketRate]),
			fmt.Sprintf("everything it is after %d days", MaxTTL/day),
			"live 90 to 100 % of `--access-ttl`, if that is " + oneOf(t, spreadFrom, time.Minute, "a minute") + " or more",
		},
		"../docs/security.md": {
			fmt.Sprintf("| passwords that are hashed | %d at once", maxHashing),
			fmt.Sprintf("At most %d of one address or /64 wait", maxWaitingEach),
			fmt.Sprintf("would wait longer than %v s is answered 429", unknownWait.Seconds()),
			fmt.Sprintf("logged in under the name in the last %d days", seenLife/day),
			fmt.Sprintf("lives for %d days. It holds a MAC", deviceLife/day),
			fmt.Sprintf("All known devices of a name together have %d, and all names of a known network %d.", nameFailures, homeFailures),
		},
		"../internal/gateway/demo/web/openapi.json": {
			fmt.Sprintf("A session gets %d tickets at once and then %s per second", defaultTicketBurst, words[defaultTicketRate]),
			fmt.Sprintf("A user has at most %d sessions; one more ends", maxSessions),
			fmt.Sprintf("The body is longer than %d KiB.", problem.MaxBody>>10),
			fmt.Sprintf(`"username": { "type": "string", "minLength": 1, "maxLength": %d`, maxName),
			fmt.Sprintf(`"password": { "type": "string", "maxLength": %d }`, maxPassword),
		},
		"../cmd/wsauth/serve.go": {
			"If it is " + oneOf(t, spreadFrom, time.Minute, "1m") + " or more, each session gets up to a tenth less, at random.",
		},
	} {
		text := strings.Join(strings.Fields(string(must(os.ReadFile(page)))), " ")
		for _, sentence := range sentences {
			if !strings.Contains(text, sentence) {
				t.Errorf("%s does not say %q", page, sentence)
			}
		}
	}
}

// oneOf returns words if d equals unit, and fails the test otherwise.
func oneOf(t *testing.T, d, unit time.Duration, words string) string {
	t.Helper()
	if d != unit {
		t.Errorf("%v is not %s", d, words)
	}
	return words
}

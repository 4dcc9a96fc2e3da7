package relay

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsauth/internal/wsconn"
)

// TestSocketsPage checks that the times in docs/gateway.md are those of the
// package.
func TestSocketsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	if (maxUnansweredPings+1)*30*time.Second != 90*time.Second || wsconn.MaxGrace != time.Minute {
		t.Errorf("%d pings may stay unanswered, and an end takes %v at most", maxUnansweredPings, wsconn.MaxGrace)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, sentence := range []string{
		fmt.Sprintf("A side that does not hang up is cut after %v s.", Grace.Seconds()),
		fmt.Sprintf("It is cut after %v s, or after up to %v s while it takes at least 1 KiB/s.", Grace.Seconds(), wsconn.MaxGrace.Seconds()),
		"a ping every 30 s, and one that sends nothing for a minute and a half is disconnected",
		"if it takes at least 1 KiB a second and needs no more than a minute",
		fmt.Sprintf("cuts a side that takes nothing for %v s", defaultStall.Seconds()),
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
}

package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsauth/internal/nodelease"
)

// TestNumbersInPages checks that the times in the documentation are those of
// the program.
func TestNumbersInPages(t *testing.T) {
	inSeconds := func(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }
	for page, sentences := range map[string][]string{
		"operations.md": {fmt.Sprintf("When the server stops, it waits at most %s for the log to be read", inSeconds(flushTimeout))},
		"cluster.md": {
			fmt.Sprintf("extends its lease in the store about every %.0f seconds", (nodelease.DefaultTTL / 3).Seconds()),
			fmt.Sprintf("is killed counts as alive for up to %.0f seconds", nodelease.DefaultTTL.Seconds()),
		},
		"sessions.md": {
			fmt.Sprintf("at the start, every %s, and when the server stops", inSeconds(recordInterval)),
			fmt.Sprintf("a copy that is less than %s older", inSeconds(recordInterval)),
		},
	} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, sentence := range sentences {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), sentence) {
				t.Errorf("%s does not say %q", page, sentence)
			}
		}
	}
}

package jwks

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestKeysOfProvidersPage checks the times in docs/identity-providers.md.
func TestKeysOfProvidersPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/identity-providers.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, sentence := range []string{
		fmt.Sprintf("at the start and every %v minutes", defaultRefresh.Minutes()),
		fmt.Sprintf("at most once in %v seconds, however many such tokens arrive", defaultMinInterval.Seconds()),
		fmt.Sprintf("A request waits at most %v s for it", maxWait.Seconds()),
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
}

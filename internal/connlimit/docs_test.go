package connlimit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDescriptorsPage checks that docs/operations.md describes how the
// descriptors are shared.
func TestDescriptorsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, sentence := range []string{
		fmt.Sprintf("an eighth of the limit, from %d to %d,", leastReserve, mostReserve),
		"Of the rest, clients get half by default (`max_connections`), and upstreams get what clients leave. One address gets half of that",
		"| 7/8 of either limit are sockets |",
		"may each use an eighth of the reserve",
		fmt.Sprintf("at most every %s", map[bool]string{true: "ten seconds"}[reportEvery.Seconds() == 10]),
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
	const n = 4096
	l, reserve := Within(n, 0, 0), reserveOf(n)
	if reserve != n/8 || l.Connections != (n-reserve)/2 || l.Upstreams != n-reserve-l.Connections || l.PerAddress != l.Connections/2 {
		t.Errorf("%d are shared as %+v, %d kept", n, l, reserve)
	}
	if got := ofSockets(n); got != n/8*7 {
		t.Errorf("of %d connections %d may be sockets", n, got)
	}
	if got := ForOperators(n); got.Connections != reserve/8 {
		t.Errorf("operators have %d of %d", got.Connections, reserve)
	}
}

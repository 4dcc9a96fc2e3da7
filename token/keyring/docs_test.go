package keyring

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// inWords formats a duration like docs/keys.md.
func inWords(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		n := d / unit.of
		d -= n * unit.of
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	return strings.Join(parts, " and ")
}

// TestKeysPage checks the times and states in docs/keys.md.
func TestKeysPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string]time.Duration{
		"| until a new key signs | %s | `--lead` |":                              DefaultLead,
		"| how long the older keys remain valid after that | %s | `--overlap` |": DefaultOverlap,
		"| until a running server sees a change of the folder | %s | |":          defaultPoll,
	} {
		if row := fmt.Sprintf(what, inWords(d)); !strings.Contains(string(page), "\n"+row+"\n") {
			t.Errorf("docs/keys.md has no row %q", row)
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), "Within two seconds every token of that key is refused") || defaultPoll != 2*time.Second {
		t.Errorf("the folder is read every %v", defaultPoll)
	}
	command, err := os.ReadFile("../../cmd/wsauth/keys.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(command), "A running server reads the folder every two seconds.") {
		t.Error("wsauth keys --help does not say how often the folder is read")
	}
	for _, s := range []State{Next, Signing, Verifying, Expired} {
		if !strings.Contains(string(page), "\n| `"+string(s)+"` | ") {
			t.Errorf("docs/keys.md has no state %s", s)
		}
	}
}

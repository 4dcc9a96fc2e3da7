package config

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A bound is a limit in the documentation of a key.
type bound struct {
	key      string
	low, top string // "" is none
}

var (
	inRange = regexp.MustCompile(`(?i)\bfrom (\d\S*) to (\d[\w]*)`)
	atMost  = regexp.MustCompile(`(?i)\bat most (\d[\w]*)`)
	atLeast = regexp.MustCompile(`(?i)\bat least (\d[\w]*)`)
)

// boundsOf returns the bounds in docs/configuration.md.
func boundsOf(t *testing.T) (all []bound) {
	t.Helper()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range docRow.FindAllStringSubmatch(string(page), -1) {
		b := bound{key: row[1]}
		if found := atMost.FindStringSubmatch(row[0]); found != nil {
			b.top = found[1]
		}
		if found := atLeast.FindStringSubmatch(row[0]); found != nil {
			b.low = found[1]
		}
		if found := inRange.FindStringSubmatch(row[0]); found != nil {
			b.low, b.top = found[1], found[2]
		}
		switch {
		case b.key == "admin.token_file", b.key == "cluster_secret_file": // the bound is for the content's length
		case b.key == "store":
			for _, key := range []string{"max_revocations", "max_sessions", "max_tickets"} {
				all = append(all, bound{"store." + key, b.low, b.top})
			}
		case b.low != "" || b.top != "":
			all = append(all, b)
		}
	}
	return all
}

// beyond returns the next value outside a bound.
func beyond(t *testing.T, value string, by int) string {
	t.Helper()
	if n, err := strconv.Atoi(value); err == nil {
		return strconv.Itoa(n + by)
	}
	if size, err := ParseSize(value); err == nil {
		return strconv.Itoa(int(size) + by)
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatal(err)
	}
	step := time.Millisecond
	if d >= time.Minute { // some must be whole seconds
		step = time.Second
	}
	return (d + time.Duration(by)*step).String()
}

// withKey returns a file with one key.
func withKey(key, value string) string {
	text := value
	parts := strings.Split(key, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		name, list := strings.CutSuffix(parts[i], "[]")
		switch {
		case name == "routes" && list:
			text = "routes: [{path: /, upstream: 'http://127.0.0.1:9000', " + strings.TrimPrefix(text, "{")
			text += "]"
		case list:
			text = "{" + name + ": [" + text + "]}"
		default:
			text = "{" + name + ": " + text + "}"
		}
	}
	return text
}

// TestPageBounds checks that a value at a bound in docs/configuration.md is
// accepted, and that the next one beyond it is an error of that key.
func TestPageBounds(t *testing.T) {
	bounds := boundsOf(t)
	if len(bounds) < 17 {
		t.Errorf("the page has only %d bounds: %v", len(bounds), bounds)
	}
	fails := func(b bound, value string) bool {
		key, _, _ := strings.Cut(b.key, ".first_message.") // errors of an extractor name the extractor
		named := fmt.Sprintf(": %s: ", strings.ReplaceAll(key, "[]", "[0]"))
		for _, f := range faultsOf(t, withKey(b.key, value)) {
			if strings.Contains(f, named) {
				return true
			}
			if strings.Contains(f, "unknown key") || strings.Contains(f, "YAML") {
				t.Fatalf("%s: got %s", withKey(b.key, value), f)
			}
		}
		return false
	}
	for _, b := range bounds {
		for _, value := range []string{b.low, b.top} {
			if value != "" && fails(b, value) {
				t.Errorf("%s: %s is refused", b.key, value)
			}
		}
		if b.low != "" && !fails(b, beyond(t, b.low, -1)) {
			t.Errorf("%s: %s is accepted, although the page says at least %s", b.key, beyond(t, b.low, -1), b.low)
		}
		if b.top != "" && !fails(b, beyond(t, b.top, 1)) {
			t.Errorf("%s: %s is accepted, although the page says at most %s", b.key, beyond(t, b.top, 1), b.top)
		}
	}
}

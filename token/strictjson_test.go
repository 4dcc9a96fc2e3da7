package token

import (
	"strings"
	"testing"
)

// TestNameFault checks that names are valid up to the limits, and not beyond.
func TestNameFault(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, " ~": true, "é€😀": true, strings.Repeat("n", maxNameSize): true, strings.Repeat("n", maxNameSize+1): false,
		"\x1f": false, "\x7f": false, "\x80": false, "a\xff": false, "\u0080": false, "\u009f": false, "\u00a0": true,
		"\u2028": false, "\u2029": false, "\u202e": false, "\u200e": false, "\ufffd": true,
	} {
		if fault := nameFault(name); (fault == "") != ok {
			t.Errorf("%q: got %q", name, fault)
		}
	}
}

// TestLongNumber checks that numbers of the maximum length are accepted, and
// longer ones refused.
func TestLongNumber(t *testing.T) {
	for length, ok := range map[int]bool{1: true, maxNumberSize: true, maxNumberSize + 1: false} {
		text := `{"a":` + strings.Repeat("1", length) + `}`
		if err := newObjectReader().read([]byte(text), func(member) error { return nil }); (err == nil) != ok {
			t.Errorf("%d digits: %v", length, err)
		}
	}
}

// TestManyValues checks that names, values and closing brackets are counted at
// every depth.
func TestManyValues(t *testing.T) {
	for name, test := range map[string]struct {
		member string // counted as this many values
		counts int
	}{
		"numbers":          {"0", 1},
		"arrays":           {"[]", 2},
		"objects":          {"{}", 2},
		"objects in which": {`{"a":0}`, 4},
	} {
		const around = 3 // the name, and both brackets
		n := (maxValues - around) / test.counts
		for more, ok := range map[int]bool{0: true, 1: false} {
			text := `{"a":[` + strings.TrimSuffix(strings.Repeat(test.member+",", n+more), ",") + `]}`
			if err := newObjectReader().read([]byte(text), func(member) error { return nil }); (err == nil) != ok {
				t.Errorf("%s, %d times: %v", name, n+more, err)
			}
		}
	}
}

package store

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewSessionID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		var bits [80]string       // the bits of each ID after its time, concatenated
		var always, ever [10]byte // the bits after the time that are set in every ID, and in at least one
		for i := range always {
			always[i] = 0xff
		}
		for range 100 {
			time.Sleep(1234567 * time.Microsecond)
			sid := NewSessionID(time.Now())
			if started, ok := SessionStarted(sid); !ok || started.UnixMilli() != time.Now().UnixMilli() || !form.MatchString(sid) {
				t.Errorf("%s started %v, %v, at %v", sid, started, ok, time.Now())
			}
			id, err := hex.DecodeString(strings.ReplaceAll(sid, "-", ""))
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range id[6:] {
				always[i] &= b
				ever[i] |= b
				for k := range 8 {
					bits[8*i+k] += string('0' + rune(b>>k&1))
				}
			}
			if random := sid[14:]; seen[random] {
				t.Errorf("%s was repeated", random)
			} else {
				seen[random] = true
			}
		}
		if want := [10]byte{0x70, 0, 0x80}; always != want {
			t.Errorf("bits that are always set: %x, want %x", always, want)
		}
		if want := [10]byte{0x7f, 255, 0xbf, 255, 255, 255, 255, 255, 255, 255}; ever != want {
			t.Errorf("bits that are ever set: %x, want %x", ever, want)
		}
		random := map[string]int{}
		for i, of := range bits {
			if !strings.Contains(of, "0") || !strings.Contains(of, "1") {
				continue // version or variant
			}
			if other, same := random[of]; same {
				t.Errorf("bits %d and %d are always the same", other, i)
			}
			random[of] = i
		}
		if len(random) != 74 {
			t.Errorf("%d bits are random, want 74", len(random))
		}
	})
}

// TestSessionStarted checks the example of RFC 9562, appendix A.6.
func TestSessionStarted(t *testing.T) {
	started, ok := SessionStarted("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
	if want := time.UnixMilli(1645557742000); !ok || !started.Equal(want) {
		t.Errorf("started %v, %v, want %v", started, ok, want)
	}
}

// FuzzSessionStarted checks that exactly the UUIDv7s have a time, and that it
// is the number in their first 12 digits.
func FuzzSessionStarted(f *testing.F) {
	form := regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)
	sid := NewSessionID(time.Now())
	if !form.MatchString(sid) {
		f.Fatalf("the seed %q is not a UUIDv7", sid)
	}
	for _, s := range []string{
		"", sid, strings.ToUpper(sid), sid[1:], sid + "0", " " + sid[1:], strings.Replace(sid, "-7", "-4", 1), strings.ReplaceAll(sid, "-", ""),
		"ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000", "00000000-0000-7000-7000-000000000000", "{" + sid + "}", sid[:35] + "g", "g" + sid[1:], sid[:9] + "g" + sid[10:], sid[:16] + "g" + sid[17:], sid[:21] + "g" + sid[22:],
		"0x000000-0000-7000-8000-00000000000g",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sid string) {
		started, ok := SessionStarted(sid)
		if ok != form.MatchString(sid) {
			t.Fatalf("%q: %v", sid, ok)
		}
		if !ok {
			return
		}
		want, err := strconv.ParseInt(sid[:8]+sid[9:13], 16, 64)
		if err != nil || started.UnixMilli() != want {
			t.Errorf("%q: %v, want %d, %v", sid, started, want, err)
		}
	})
}

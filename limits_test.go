package wsauth

import (
	"reflect"
	"testing"
	"time"

	"wsauth/token"
)

// TestCompletingTwiceChangesNothing: a guard that is derived by With completes
// what New completed before.
func TestCompletingTwiceChangesNothing(t *testing.T) {
	try := func(c Config, of string) {
		t.Helper()
		c.Verifier = &token.Verifier{}
		once, err := c.withDefaults()
		if err != nil {
			return // the value is refused
		}
		twice, err := once.withDefaults()
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Errorf("%s: %+v, then %+v, %v", of, once, twice, err)
		}
	}
	for i := range reflect.TypeFor[Limits]().NumField() {
		for value := range int64(3) {
			var c Config
			f := reflect.ValueOf(&c.Limits).Elem().Field(i)
			if !f.CanInt() {
				f.SetBool(value > 0)
			} else {
				f.SetInt(value)
			}
			try(c, reflect.TypeFor[Limits]().Field(i).Name)
		}
	}
	for _, staleness := range []time.Duration{0, minStaleness, time.Hour} {
		try(Config{Staleness: staleness}, "Staleness")
	}
}

// TestLimitsDefaults: what is not set has a safe default, or none.
func TestLimitsDefaults(t *testing.T) {
	got, err := Limits{}.withDefaults()
	if want := (Limits{Unauthenticated: 1000, UnauthenticatedPerAddress: 100, WhenFull: RefuseNew}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	set := Limits{PerSubject: 1, PerSession: 2, PerAddress: 3, HandshakesPerMinute: 4, Unauthenticated: 5, UnauthenticatedPerAddress: 6, WhenFull: EndOldest}
	if got, err := set.withDefaults(); err != nil || got != set {
		t.Errorf("%+v, %v; want %+v", got, err, set)
	}
}

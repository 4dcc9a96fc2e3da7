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

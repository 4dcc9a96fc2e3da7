package wsauth

import (
	"reflect"
	"testing"
	"time"

	"wsauth/token"
)

// TestDefaultsTwice checks that withDefaults changes nothing when it is applied
// again, as by With.
func TestDefaultsTwice(t *testing.T) {
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

// TestLimitsDefaults checks the default of each limit.
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

// TestEndBeforeAdmission checks that a socket takes no place under the limits
// if its time for the first message runs out before it is admitted, as on a
// busy machine. Once its connection is closed, Shutdown does not wait for it.
func TestEndBeforeAdmission(t *testing.T) {
	r := newRegistry(Limits{PerAddress: 1, Unauthenticated: 1, UnauthenticatedPerAddress: 1})
	late := &Socket{waits: true, remote: "192.0.2.1:1"}
	r.ended(late)
	if _, err := r.admit(late); err != nil {
		t.Fatal(err)
	}
	if want := (anonymous{leaving: 1}); r.anonymous.all != want {
		t.Errorf("counted as %+v, want %+v", r.anonymous.all, want)
	}
	next := &Socket{waits: true, remote: "192.0.2.1:2"}
	if evicted, err := r.admit(next); err != nil || len(evicted) > 0 {
		t.Errorf("the next socket: %v, %d evicted", err, len(evicted))
	}
	r.close()
	for _, s := range []*Socket{late, next} {
		select {
		case <-r.idle:
			t.Error("idle, while a socket is open")
		default:
		}
		r.forget(s)
	}
	select {
	case <-r.idle:
	default:
		t.Errorf("not idle: %+v of %d networks are left", r.anonymous.all, len(r.anonymous.networks))
	}
}

package gateway

import (
	"errors"
	"fmt"
)

// A Fault is an error in one field of a [Config]. [New], [Gateway.Update] and
// [Config.Check] join all that they find.
type Fault struct {
	// Field is the path of the field, such as "AccessTTL" or
	// "Routes[1].Limits.Ping".
	Field string

	// Key is the key of the faulty entry if Field is a map, such as
	// Routes[0].Headers.
	Key string

	// Err says what is wrong, without naming other fields.
	Err error
}

// Error implements error. The text begins with the field.
func (f *Fault) Error() string {
	if f.Key != "" {
		return fmt.Sprintf("gateway: Config.%s[%q]: %v", f.Field, f.Key, f.Err)
	}
	return fmt.Sprintf("gateway: Config.%s: %v", f.Field, f.Err)
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// faults is a list of faults.
type faults []*Fault

func (of *faults) add(field, format string, args ...any) {
	*of = append(*of, &Fault{Field: field, Err: fmt.Errorf(format, args...)})
}

// addKey adds a fault of an entry of a map.
func (of *faults) addKey(field, key, format string, args ...any) {
	*of = append(*of, &Fault{Field: field, Key: key, Err: fmt.Errorf(format, args...)})
}

// addBelow adds the faults of the value of field.
func (of *faults) addBelow(field string, below faults) {
	for _, f := range below {
		*of = append(*of, &Fault{Field: field + "." + f.Field, Key: f.Key, Err: f.Err})
	}
}

// join returns the faults as one error, or nil if there are none.
func (of faults) join() error {
	all := make([]error, len(of))
	for i, f := range of {
		all[i] = f
	}
	return errors.Join(all...)
}

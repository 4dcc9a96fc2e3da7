// Package fault collects what is wrong with the fields of a configuration.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// A Fault is an error in one field of the gateway's configuration.
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

// A List is a list of faults.
type List []*Fault

// Add adds a fault of a field, whose text is formatted as by [fmt.Errorf].
func (l *List) Add(field, format string, args ...any) {
	*l = append(*l, &Fault{Field: field, Err: fmt.Errorf(format, args...)})
}

// AddKey adds a fault of an entry of a map.
func (l *List) AddKey(field, key, format string, args ...any) {
	*l = append(*l, &Fault{Field: field, Key: key, Err: fmt.Errorf(format, args...)})
}

// AddBelow adds the faults of a nested configuration, which is the value of
// field. It prepends field to their paths. A fault of the whole value has an
// empty Field.
func (l *List) AddBelow(field string, below List) {
	for _, f := range below {
		*l = append(*l, &Fault{Field: strings.TrimSuffix(field+"."+f.Field, "."), Key: f.Key, Err: f.Err})
	}
}

// Join returns the faults as one error, or nil if there are none.
func (l List) Join() error {
	all := make([]error, len(l))
	for i, f := range l {
		all[i] = f
	}
	return errors.Join(all...)
}

package store

import (
	"fmt"
	"time"
)

// Limits of the leases and the buckets of a [Cluster].
const (
	minLease  = time.Millisecond
	maxLease  = time.Hour
	maxRefill = 30 * 24 * time.Hour // from empty to full
)

// Check returns an [ErrInvalid] if [Nodes.KeepNode] must refuse n or ttl.
func (n Node) Check(ttl time.Duration) error {
	switch {
	case n.ID == "" || len(n.ID) > maxNodeID:
		return fmt.Errorf("%w: a node with an ID of %d bytes", ErrInvalid, len(n.ID))
	case len(n.Data) > maxNodeData:
		return fmt.Errorf("%w: a node with %d bytes of Data", ErrInvalid, len(n.Data))
	case ttl < minLease || ttl > maxLease:
		return fmt.Errorf("%w: a lease of %v", ErrInvalid, ttl)
	}
	return nil
}

// Canonical returns c in the form in which stores keep it. Oldest is in UTC and
// rounded down to milliseconds, or zero if N is 0. Canonical returns an
// [ErrInvalid] if c is not valid.
func (c Count) Canonical() (Count, error) {
	switch {
	case c.Node == "" || len(c.Node) > maxNodeID:
		return Count{}, fmt.Errorf("%w: a count of a node with an ID of %d bytes", ErrInvalid, len(c.Node))
	case c.Key == "" || len(c.Key) > maxKey:
		return Count{}, fmt.Errorf("%w: a count with a Key of %d bytes", ErrInvalid, len(c.Key))
	case len(c.Subject) > maxID:
		return Count{}, fmt.Errorf("%w: a count with a Subject of %d bytes", ErrInvalid, len(c.Subject))
	case c.N < 0 || c.N > maxCount || c.Limit < 0 || c.Limit > maxCount:
		return Count{}, fmt.Errorf("%w: a count of %d with the limit %d", ErrInvalid, c.N, c.Limit)
	case c.N == 0:
		c.Oldest = time.Time{}
		return c, nil
	case !representable(c.Oldest.UnixMilli()):
		return Count{}, fmt.Errorf("%w: a count with Oldest %v", ErrInvalid, c.Oldest)
	}
	c.Oldest = wholeMilliseconds(c.Oldest)
	return c, nil
}

// CheckBucket returns an [ErrInvalid] if [Buckets.Take] must refuse the
// arguments.
func CheckBucket(key string, interval time.Duration, burst int) error {
	switch {
	case key == "" || len(key) > maxKey:
		return fmt.Errorf("%w: a bucket with a key of %d bytes", ErrInvalid, len(key))
	case interval < time.Millisecond || burst < 1 || interval > maxRefill || int64(burst) > int64(maxRefill/interval):
		return fmt.Errorf("%w: a bucket of %d with a token every %v", ErrInvalid, burst, interval)
	}
	return nil
}

// Check returns an [ErrInvalid] if [Records.WriteRecord] must refuse r or its
// name.
func (r Record) Check(name string) error {
	switch {
	case name == "" || len(name) > maxRecordName:
		return fmt.Errorf("%w: a record with a name of %d bytes", ErrInvalid, len(name))
	case len(r.Value) > MaxRecordValue:
		return fmt.Errorf("%w: a record of %d bytes", ErrInvalid, len(r.Value))
	case r.Version == 0 || r.Version > maxGeneration:
		return fmt.Errorf("%w: a record with the Version %d", ErrInvalid, r.Version)
	}
	return nil
}

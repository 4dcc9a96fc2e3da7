package store

import (
	"context"
	"errors"
	"time"
)

// A Cluster is a [Store] that several nodes share at the same time. A node is
// one run of a process. All methods are safe for concurrent use, return soon
// after ctx is done, with its error, and use the clock of the store.
type Cluster interface {
	Store
	Log
	Nodes
	Counters
	Buckets
	Records
}

// Maximum lengths of names and values in bytes, and the maximum of a count.
const (
	maxNodeID      = 64
	maxNodeData    = 4 << 10
	maxKey         = 320 // enough for a kind and an ID
	maxRecordName  = 64
	maxCount       = 1<<31 - 1
	MaxRecordValue = 64 << 10 // of [Record.Value]
)

// A Node is one run of a process. A process that starts again is another node.
type Node struct {
	ID      string    // unique, 1 to 64 bytes
	Data    []byte    // for the other nodes, at most 4 KiB; the store does not interpret it
	Started time.Time // when KeepNode first stored it, by the store's clock
	Until   time.Time // when its lease ends; ignored by KeepNode
}

// Nodes stores which nodes are alive.
type Nodes interface {
	// KeepNode stores a node and its Data, with a lease that ends after ttl
	// unless it is extended by another call, and returns the node. ttl is 1 ms
	// to 1 hour. Leave Started zero in the first call for a node. In later
	// calls, pass the Started that KeepNode returned. If Started is set and the
	// lease has ended, KeepNode stores nothing and returns [ErrNotFound]: the
	// counts of the node may have been dropped, so the process must continue as
	// a new node.
	KeepNode(ctx context.Context, n Node, ttl time.Duration) (Node, error)

	// DropNode ends the lease of a node and drops its counts. It is not an
	// error if there is no such node.
	DropNode(ctx context.Context, id string) error

	// ListNodes returns the nodes whose lease has not ended, by Started and ID.
	ListNodes(ctx context.Context) ([]Node, error)
}

// A Count is the number of items that a node has of a limited kind, such as the
// open sockets of one user.
type Count struct {
	Node string // ID of the node
	Key  string // what is counted; 1 to 320 bytes

	// Subject is the sub that Key belongs to, or empty. A store may keep the
	// counts of a subject together with its sessions.
	Subject string

	N      int       // number of items; 0 deletes the count
	Oldest time.Time // of the oldest item, by the store's clock; ignored if N is 0

	// Limit is the maximum sum of the counts of all live nodes. 0 means none.
	Limit int

	// Evict allows the sum to exceed Limit. Set it if the oldest item is about
	// to be ended.
	Evict bool
}

// Counts is the sum of the counts of all live nodes for a key.
type Counts struct {
	Sum        int
	OldestNode string // the node with the oldest item; empty if Sum is 0
}

// Counters stores the counts of each node. The counts of a node whose lease has
// ended are not part of any sum, and are dropped.
type Counters interface {
	// SetCount stores a count in place of the previous one with the same Node
	// and Key, and returns the resulting counts. If N is greater than before,
	// the sum would exceed Limit, and Evict is not set, SetCount stores nothing
	// and returns [ErrFull] with the unchanged counts. If the node has no
	// lease, the error is [ErrNotFound]. A repeated call has no further effect.
	SetCount(context.Context, Count) (Counts, error)
}

// Buckets limits how often something may be tried, such as a login, with token
// buckets that all nodes share.
type Buckets interface {
	// Take takes a token from the bucket of a key. The key is 1 to 320 bytes
	// long. The bucket is full at first, holds up to burst tokens, and gets one
	// every interval. The interval must be at least 1 ms, and an empty bucket
	// must be full within 30 days. If the bucket is empty, Take changes nothing
	// and returns the time until the next token. Otherwise it returns 0.
	Take(ctx context.Context, key string, interval time.Duration, burst int) (wait time.Duration, err error)

	// Refill makes the bucket of a key full.
	Refill(ctx context.Context, key string) error
}

// ErrConflict means that a record has been changed by another node.
var ErrConflict = errors.New("store: changed by another node")

// A Record is a small value that all nodes share, such as a set of keys. Secret
// values must be encrypted by the caller.
type Record struct {
	Value   []byte // at most [MaxRecordValue]
	Version uint64 // 1 for the first value, and one more for each change
}

// Records stores records by name, which is 1 to 64 bytes long.
type Records interface {
	// ReadRecord returns a record, or [ErrNotFound].
	ReadRecord(ctx context.Context, name string) (Record, error)

	// WriteRecord stores a record if the version of the stored one is
	// r.Version-1. For a record that does not exist, r.Version must be 1.
	// Otherwise the error is [ErrConflict].
	WriteRecord(ctx context.Context, name string, r Record) error
}

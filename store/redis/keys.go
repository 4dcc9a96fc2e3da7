package redis

import (
	"crypto/sha256"
	"encoding/base64"

	"wsauth/store"
)

// keys composes the names of keys. All begin with the prefix. The keys of one
// script have the same hash tag, the part in braces, and so the same slot of a
// Cluster.
type keys struct{ prefix string }

// hash returns a short hash of a name.
func hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// log returns the keys of the log: its head, a stream of its entries, a hash of
// the sequence numbers of entries by name, and a set of sequence numbers by
// expiry.
func (k keys) log() []string {
	tag := k.prefix + ":{" + k.prefix + ":log}:"
	return []string{tag + "head", tag + "stream", tag + "index", tag + "expiry"}
}

// nodes returns the keys of the leases of nodes and of the nodes.
func (k keys) nodes() []string {
	tag := k.prefix + ":{" + k.prefix + ":log}:"
	return []string{tag + "leases", tag + "nodes"}
}

// record returns the key of a record.
func (k keys) record(name string) []string {
	return []string{k.prefix + ":{" + k.prefix + ":log}:record:" + name}
}

// sessions returns the key of a hash of the sessions of a subject.
func (k keys) sessions(subject string) []string {
	return []string{k.prefix + ":{" + hash(subject) + "}:sessions"}
}

// count returns the key of a hash of the counts of nodes.
func (k keys) count(c store.Count) string {
	if c.Subject == "" {
		return k.prefix + ":{" + hash(c.Key) + "}:count"
	}
	return k.prefix + ":{" + hash(c.Subject) + "}:count:" + hash(c.Key)
}

// ticket returns the key of a ticket.
func (k keys) ticket(key store.TicketKey) []string {
	return []string{k.prefix + ":ticket:" + base64.RawURLEncoding.EncodeToString(key[:])}
}

// bucket returns the key of a bucket.
func (k keys) bucket(key string) []string { return []string{k.prefix + ":bucket:" + hash(key)} }

// usage returns the key of a hash of the numbers of items of a kind.
func (k keys) usage(kind string) []string { return []string{k.prefix + ":usage:" + kind} }

// Package redis implements package store in Redis or Valkey, for any number of
// nodes.
//
// It needs Redis 6.2 or later, or Valkey, as a single server, with Sentinels,
// or as a Cluster. The servers must not evict keys (maxmemory-policy
// noeviction), their clocks must agree to within a second, and servers with
// replicas should set min-replicas-to-write. [Open] checks what it can.
//
// # Durability
//
// A server answers before its replicas have a change. So Revoke and Publish
// wait for a replica, and return [store.ErrUnconfirmed] if none confirms in
// time. About once a second, one of the nodes writes a heartbeat, called a
// beat, to the log and waits for a replica in the same way. [store.Page.Known]
// is the time of the newest confirmed beat. Known stops advancing on a primary
// that a replica has replaced, so nodes that still read from it learn that
// their log is out of date. See [Config.Replicas].
//
// Other changes do not wait. A failover can lose the last rotation of a
// session; [store.Session.Generation] repairs that. A failover voids all
// tickets, so that none can be taken twice. It is recognized by the replication
// ID of the primary, which is part of [store.Cursor.Epoch] and of each ticket.
// The ID also changes when a server restarts or gets its first replica, and,
// for the keys of a slot, when the slot moves to another server. After each of
// these changes, nodes read the log from its beginning, and earlier tickets are
// void.
//
// A server without replicas loses what its own persistence loses, such as the
// last second with "appendfsync everysec".
//
// # Permissions
//
// An ACL user needs all keys that begin with the prefix, and these commands:
//
//	~wsauth:* +@connection +evalsha +script|load +info +time +wait
//	+cluster|slots +cluster|shards +role +@read +@write
//
// # Keys
//
// All names begin with the prefix, P here. In a Cluster, the keys that one
// script uses have a common hash tag, the part in braces, and so are in the
// same slot. HASH is the SHA-256 of a name, truncated to 16 bytes, in
// base64url.
//
//	P:{P:log}:head          the state of the log
//	P:{P:log}:stream        its entries
//	P:{P:log}:index         the sequence number of each entry, by name
//	P:{P:log}:expiry        the same, by expiry
//	P:{P:log}:leases        the leases of nodes
//	P:{P:log}:nodes         the nodes
//	P:{P:log}:record:NAME   a record
//	P:{HASH}:sessions       the sessions of a subject
//	P:{HASH}:count:HASH     the counts of all nodes for a key of a subject
//	P:{HASH}:count          the same for a key without a subject
//	P:ticket:SHA256         a ticket
//	P:bucket:HASH           a bucket
//	P:usage:KIND            roughly how many sessions or tickets there are
//
// Replaced and expired entries of the log are deleted one by one, and the
// stream is never trimmed. If a part of the log is missing, all methods of the
// log fail until all of its keys are deleted.
//
// # Cost
//
// With Redis 7.0, a session takes about 550 bytes, a ticket 270 bytes and its
// value, a revocation 300 bytes, a count 220 bytes and a bucket 170 bytes. The
// network carries about 80 bytes for each revocation that a node reads. A
// change of a session takes two round trips, and other calls take one. In a
// Cluster, a count takes more when the node must read the list of live nodes.
// Waiting for replicas adds one round trip to the primary, and one between it
// and the replicas.
//
// While a node follows the log, it calls the engine about ten times a second. A
// node uses up to four connections, and two more if it follows the log and
// waits for replicas.
package redis

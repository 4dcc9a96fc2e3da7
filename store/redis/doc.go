// Package redis implements package store in Redis or Valkey, for any number of
// nodes.
//
// It needs Redis 6.2 or later, or Valkey, as a single server, with Sentinels,
// or as a Cluster. The servers must not evict keys (maxmemory-policy
// noeviction), their clocks must agree to a second, and servers with replicas
// should set min-replicas-to-write. [Open] checks what it can.
//
// # Durability
//
// A server answers before its replicas have a change. So Revoke and Publish
// wait for a replica, and return [store.ErrUnconfirmed] if none confirms in
// time. About once a second, one of the nodes writes a beat into the log and
// waits for a replica in the same way. [store.Page.Known] is the time of the
// newest beat that was confirmed: if nobody follows a primary any more, because
// a replica has replaced it, its readers learn that their log is out of date.
// See [Config.Replicas].
//
// Other changes do not wait. After a failover, sessions may have lost their
// last rotation, which [store.Session.Generation] repairs, and tickets put
// before it are not valid, so that none can be taken twice. The replication ID
// of the primary tells: it is part of [store.Cursor.Epoch] and of each ticket.
// It also changes when a server restarts, when a server gets its first replica,
// and, for the keys of a slot, when the slot moves to another server. Readers
// then read the log from its beginning, and tickets of the last seconds are
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
// All names begin with the prefix, P here. Keys that one script uses have a
// part in braces in common, so that they are in the same slot of a Cluster. A
// hash is the SHA-256 of a name, cut to 16 bytes, in base64url.
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
// Replaced and expired entries of the log are deleted one by one, and no entry
// is ever trimmed. If a part of the log is missing, all methods of the log fail
// until all of its keys are deleted.
//
// # Cost
//
// With Redis 7.0, a session takes about 550 bytes, a ticket 270 bytes and its
// value, a revocation 300 bytes, a count 220 bytes and a bucket 170 bytes. The
// network carries about 80 bytes for each revocation that a node reads. A
// change of a session takes two round trips, and other calls take one. So does
// a count in a Cluster, unless the node must read again which nodes are alive.
// Waiting for replicas adds one round trip and theirs.
//
// Each node calls the engine about ten times a second while it follows the log,
// and uses up to four connections, and two more while it follows the log and
// waits for replicas.
package redis

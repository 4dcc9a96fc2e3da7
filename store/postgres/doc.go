// Package postgres implements package store in PostgreSQL 13 or later, for any
// number of nodes. Use it if a revocation that was confirmed must survive a
// failover: with a synchronous standby, it does.
//
// # The database
//
// [Open] creates the tables in a schema of their own, and upgrades them. This
// requires a role with the right to create them. With Config.SkipMigrations,
// these rights are sufficient:
//
//	grant usage on schema wsauth to app;
//	grant select, insert, update, delete on all tables in schema wsauth to app;
//
// The store works through a connection pool such as PgBouncer in transaction
// mode: it uses no prepared statements, no settings and no locks that outlast a
// transaction. Only notifications (LISTEN) need a connection to the server
// itself, see Config.ListenURL; without them, nodes poll for changes every 250
// ms. A pool of PgBouncer should have a few connections for each node. Servers
// without access to the position in their own log, such as Amazon Aurora, are
// not supported.
//
// All times are from the server's clock. Tickets are stored as hashes, and
// refresh tokens as their IDs, so the contents of the tables cannot be used to
// authenticate. But anyone who can change the tables can undo revocations.
//
// The tables are log (revocations and events), head (the end of the log),
// identity (the epoch of the log), heartbeat, sessions, tickets, totals (the
// numbers of sessions and tickets), nodes, counts, buckets, records and
// migrations. Every few seconds, nodes that write delete expired rows, up to
// 1,000 at a time.
//
// # Failures
//
// A call fails if it takes longer than Config.Timeout. When its context is
// done, the call returns, but its transaction continues and may still be
// committed.
//
// If the server has synchronous standbys (synchronous_standby_names), changes
// of revocations, events, sessions and records wait for them. The change itself
// is committed without waiting, so that it is in effect on all nodes at once,
// and then the standbys confirm it. If they do not do so in time, the error is
// [store.ErrUnconfirmed], and methods that return a session return it together
// with the error. Tickets and counts do not wait, because a failover voids
// tickets, and nodes then set their counts again.
//
// The epoch of the log contains the timeline of the server, so the promotion of
// a standby, or restoring a backup, makes all cursors and tickets void. The
// epoch also changes if a server has lost committed data. A former primary is
// recognized by its older timeline; the error is [ErrStandby].
//
// Page.Known advances about once a second, when the synchronous standbys have
// confirmed a heartbeat. It does not advance on a read-only server, or while
// the primary has no connection to its standbys, perhaps because one of them
// has been promoted. Without synchronous standbys, a former primary that is
// still reachable cannot be recognized before a node has seen the new one.
package postgres

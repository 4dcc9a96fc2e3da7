// Package postgres implements package store in PostgreSQL 13 or later, for any
// number of nodes. Use it if a revocation that was confirmed must survive a
// failover: with a synchronous standby, it does.
//
// # The database
//
// [Open] creates the tables in a schema of their own, and upgrades them. This
// needs a role that may create them. With Config.SkipMigrations, these rights
// are sufficient:
//
//	grant usage on schema wsauth to app;
//	grant select, insert, update, delete on all tables in schema wsauth to app;
//
// The store works through a connection pool such as PgBouncer in transaction
// mode: it uses no prepared statements, no settings and no locks that outlast a
// transaction. Only notifications (LISTEN) need a connection to the server
// itself, see Config.ListenURL; without them, nodes ask for changes every 250
// ms. A pool of PgBouncer should have a few connections for each node. Servers
// without access to the position in their own log, such as Amazon Aurora, are
// not supported.
//
// All times are those of the server. The tables contain only hashes of tickets,
// and of refresh tokens only their IDs, so their contents cannot be used to
// authenticate. But whoever can change them can undo revocations.
//
// The tables are log (revocations and events), head and identity (its end and
// its epoch), heartbeat, sessions, tickets, totals (how many of these there
// are), nodes, counts, buckets, records and migrations. What has expired is
// deleted in steps of 1,000 rows by nodes that write, every few seconds.
//
// # Failures
//
// Each call fails after Config.Timeout, if not before. A context that is done
// ends the call, but not its transaction.
//
// If the server has synchronous standbys (synchronous_standby_names), changes
// of revocations, events, sessions and records wait for them. The change itself
// is committed without waiting, so that it is in effect on all nodes at once,
// and then the standbys confirm it. If they do not in time, the error is
// [store.ErrUnconfirmed], and methods that return a session return it together
// with the error. Tickets and counts do not wait, because a failover voids
// tickets, and nodes then set their counts again.
//
// The epoch of the log contains the timeline of the server, so the promotion of
// a standby, or restoring a backup, makes all cursors and tickets void. It also
// changes if a server turns out to have lost what it had committed. A former
// primary is recognized by its older timeline; the error is [ErrStandby].
//
// Page.Known advances about once a second, when the synchronous standbys have
// confirmed a heartbeat. It does not advance while the primary has lost them,
// perhaps because one of them has replaced it, nor on a server that is
// read-only. Without synchronous standbys, a former primary that is still
// reachable cannot be recognized before a node has seen the new one.
package postgres

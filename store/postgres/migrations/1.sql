-- Times are in milliseconds since 1970, except where noted. Names are bytea,
-- because they may contain any bytes.

-- The identity of the log, in one row that is updated when entries may have
-- been lost. Nothing else changes the row: its xmin is part of the epoch.
create table identity (id text not null);
insert into identity values (replace(gen_random_uuid()::text, '-', ''));

-- The position of the last entry, and the numbers of entries that have limits.
create table head (last bigint not null, revocations bigint not null, events bigint not null) with (fillfactor = 10);
insert into head values (0, 0, 0);

-- A time in microseconds at which the server was the primary.
create table heartbeat (at bigint not null) with (fillfactor = 10);
insert into heartbeat values (0);

-- The entries of the log. kind is empty for revocations, and target is 0 for
-- events. since is Before or Generation. until is when the entry is dropped.
-- started is the newest start of the tokens that are revoked, if it is known.
create table log (
	position bigint primary key,
	kind     bytea not null,
	target   smallint not null,
	id       bytea not null,
	since    bigint not null,
	until    bigint not null,
	started  bigint,
	data     bytea
);
create unique index log_name on log (kind, target, id);
create index log_until on log (until);
create index log_started on log (started) where started is not null;

create table tickets (
	key     bytea primary key,
	epoch   text not null,
	expires bigint not null,
	value   bytea not null
);
create index tickets_expires on tickets (expires);

-- data is the encoded session.
create table sessions (
	id      bytea primary key,
	subject bytea not null,
	expires bigint not null,
	data    bytea not null
);
create index sessions_subject on sessions (subject, expires);
create index sessions_expires on sessions (expires);

-- The numbers of tickets and sessions. Each is the sum of the rows of its kind.
-- A change is added to a random row, so that changes seldom wait for each
-- other.
create table totals (
	kind  text,
	shard int,
	n     bigint not null,
	primary key (kind, shard)
) with (fillfactor = 10);
insert into totals select kind, shard, 0 from unnest(array['tickets', 'sessions']) kind, generate_series(0, 31) shard;

-- until is when the lease ends, in microseconds like started.
create table nodes (
	id      bytea primary key,
	data    bytea not null,
	started bigint not null,
	until   bigint not null
);

create table counts (
	key    bytea,
	node   bytea references nodes on delete cascade,
	n      bigint not null,
	oldest bigint not null,
	primary key (key, node)
);
create index counts_node on counts (node);

-- full_at is when the bucket is full again, in microseconds.
create table buckets (
	key  bytea primary key,
	full_at bigint not null
);
create index buckets_full on buckets (full_at);

create table records (
	name    bytea primary key,
	version bigint not null,
	value   bytea not null
);

-- The time of the server in microseconds.
create view clock as select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now;

-- The revocation of everything, if there is one.
create view everything as select since, until from log where kind = '' and target = 4;

-- The epoch of the log. It ends with the timeline, which a promotion changes.
-- Reading it fails on a standby.
create view epoch as
	select id || '-' || xmin::text || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8) as epoch from identity;

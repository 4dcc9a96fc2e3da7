package postgres

import (
	"context"
	"embed"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"
)

// scripts contains the migrations. Each file is named for the version that it
// creates.
//
//go:embed migrations/*.sql
var scripts embed.FS

// version is the version of the schema.
const version = 1

// migrationTimeout is the timeout of all migrations together, as a multiple of
// Config.Timeout.
const migrationTimeout = 60

// Second keys of the advisory locks. All locks are held by transactions,
// because others would belong to a session.
const (
	lockMigration = iota
	lockLog       // held while adding or removing entries
	lockHeartbeat
)

// lockOf returns the first key of the advisory locks of a schema.
func lockOf(schema string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte("wsauth " + schema))
	return int32(h.Sum32())
}

// migrate creates or upgrades the tables, if Config allows it.
func (s *Store) migrate(ctx context.Context) error {
	found, err := s.schemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case found == version:
		return nil
	case found > version:
		return fmt.Errorf("%w: schema %q has version %d, and this program knows versions up to %d", ErrSchema, s.config.Schema, found, version)
	case s.config.SkipMigrations:
		return fmt.Errorf("%w: schema %q has version %d, want %d (0: no tables); open it once without SkipMigrations, as a role that may create tables", ErrSchema, s.config.Schema, found, version)
	}
	var role string
	err = s.connected(ctx, migrationTimeout*s.config.Timeout, func(t *transaction) error {
		role = t.conn.Conn().Config().User
		return s.upgrade(t)
	})
	if hasCode(err, codeRights) {
		return fmt.Errorf("store/postgres: the role %q may not create or upgrade the tables of schema %q; open the store once as a role that may: %w", role, s.config.Schema, err)
	}
	return err
}

// upgrade runs the missing migrations in one transaction. Nodes that start at
// the same time wait for each other.
func (s *Store) upgrade(t *transaction) error {
	s.begin(t, local)
	t.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockMigration)
	schema := pgx.Identifier{s.config.Schema}.Sanitize()
	exists, migrated := false, false
	t.one("select to_regnamespace($1) is not null, to_regclass($2) is not null", []any{schema, schema + ".migrations"}, &exists, &migrated)
	if err := t.send(); err != nil {
		return err
	}
	if !exists { // "if not exists" would require the right even if it exists
		t.queue("create schema " + schema)
	}
	if !migrated {
		t.queue("create table migrations (version int primary key, at timestamptz not null default clock_timestamp())")
	}
	found := 0
	t.one("select coalesce(max(version), 0) from migrations", nil, &found)
	if err := t.send(); err != nil {
		return err
	}
	for next := found + 1; next <= version; next++ {
		script, err := scripts.ReadFile(fmt.Sprintf("migrations/%d.sql", next))
		if err != nil {
			return err
		}
		// The script has several statements.
		if _, err := t.conn.Conn().PgConn().Exec(t.ctx, string(script)).ReadAll(); err != nil {
			return err
		}
		t.queue("insert into migrations (version) values ($1)", next)
	}
	t.queue("commit")
	return t.send()
}

// schemaVersion returns the version of the tables, or 0 if there are none.
func (s *Store) schemaVersion(ctx context.Context) (int, error) {
	found := 0
	err := s.transact(ctx, reading, func(t *transaction) error {
		exists := false
		t.one("select to_regclass($1) is not null", []any{pgx.Identifier{s.config.Schema, "migrations"}.Sanitize()}, &exists)
		if err := t.send(); err != nil || !exists {
			return err
		}
		t.one("select coalesce(max(version), 0) from migrations", nil, &found)
		return nil
	})
	switch {
	case err == nil:
		return found, nil
	case hasCode(err, codeRights):
		err = fmt.Errorf("store/postgres: the role may not use schema %q; see the package documentation for the rights that it needs: %w", s.config.Schema, err)
	}
	return 0, err
}

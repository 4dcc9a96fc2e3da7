package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// quoted returns the name of a configuration's schema for SQL.
func quoted(c Config) string { return pgx.Identifier{c.Schema}.Sanitize() }

// refused opens a store that must be refused, and returns the error.
func refused(t *testing.T, c Config) error {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err == nil {
		_ = s.Close()
		t.Fatal("the store was opened")
	}
	return err
}

// TestMigrateOnce checks that nodes that start at the same time create the
// tables once.
func TestMigrateOnce(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s, err := Open(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	wg.Wait()
	if got := shared(t).query(t, "select string_agg(version::text, ' ') from "+quoted(c)+".migrations"); got != fmt.Sprint(version) {
		t.Errorf("migrations %s", got)
	}
}

// TestSchemaVersion checks that a newer schema is refused, and that a missing
// one is refused if SkipMigrations is set.
func TestSchemaVersion(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	c.SkipMigrations = true
	if err := refused(t, c); !errors.Is(err, ErrSchema) {
		t.Errorf("no tables: %v, want ErrSchema", err)
	}
	c.SkipMigrations = false
	s := open(t, c)
	shared(t).exec(t, "insert into "+quoted(c)+".migrations (version) values (1000)")
	if err := refused(t, c); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("a newer schema: %v, want ErrSchema", err)
	}
	wantCalls(t, s) // an older node continues while the others are upgraded
}

// TestRights checks that the documented rights are sufficient, and that the
// errors without them say what is missing.
func TestRights(t *testing.T) {
	t.Parallel()
	server := shared(t)
	role := fmt.Sprint("limited", schemas.Add(1))
	server.exec(t, "create role "+role+" login")
	owner := newConfig(server.dsn("app"))
	limited := owner
	limited.URL = server.dsn(role)
	if err := refused(t, limited); !strings.Contains(err.Error(), role) || !strings.Contains(err.Error(), "may not create") {
		t.Errorf("without the right to create a schema: %v", err)
	}
	open(t, owner)
	limited.SkipMigrations = true
	if err := refused(t, limited); !strings.Contains(err.Error(), "may not use schema") {
		t.Errorf("without the right to use the schema: %v", err)
	}
	server.exec(t, "grant usage on schema "+quoted(owner)+" to "+role)
	server.exec(t, "grant select, insert, update, delete on all tables in schema "+quoted(owner)+" to "+role)
	s := open(t, limited)
	wantCalls(t, s)
	if _, err := s.SetCount(t.Context(), store.Count{Node: "n", Key: "k", N: 1, Oldest: time.Now()}); err != nil {
		t.Error(err)
	}
	s.sweep(t.Context())
}

// TestSweep checks that expired rows and covered revocations are deleted, in
// steps, and that the counts for the limits are updated.
func TestSweep(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	s := open(t, c)
	node, err := s.KeepNode(t.Context(), store.Node{ID: "n"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	count := store.Count{Node: node.ID, Key: "k", N: 1, Oldest: time.Now()}
	session := store.Session{ID: "s", Subject: "ann", Current: "0", Started: time.Now(), Expires: time.Now().Add(time.Hour), Ends: time.Now().Add(time.Hour)}
	_, counted := s.SetCount(t.Context(), count)
	_, taken := s.Take(t.Context(), "key", time.Minute, 10)
	if err := errors.Join(
		counted, taken, s.BeginSession(t.Context(), session),
		s.PutTicket(t.Context(), store.TicketKey{1}, nil, time.Now().Add(time.Hour)),
		s.Revoke(t.Context(), revocation("a"), store.Revocation{Target: store.TargetAll, Before: time.Now(), Expires: time.Now().Add(time.Hour)}),
		s.Publish(t.Context(), store.Event{Kind: "k", ID: "a", Expires: time.Now().Add(time.Hour)}),
	); err != nil {
		t.Fatal(err)
	}
	const many = 3*sweepSize + 1
	schema := quoted(c)
	for _, sql := range []string{
		"insert into log select 1000 + i, '', 1, i::text::bytea, 0, 1000, null from generate_series(1, %d) i",
		"insert into log select 10000 + i, 'k', 0, i::text::bytea, 0, 1000, null from generate_series(1, %d) i",
		"insert into log select 20000 + i, '', 2, i::text::bytea, 0, (select until from everything), 1 from generate_series(1, %d) i",
		"update head set last = 30000, revocations = revocations + 2 * %[1]d, events = events + %[1]d",
		"insert into tickets select i::text::bytea, '', 1000, '' from generate_series(1, %d) i",
		"insert into sessions select i::text::bytea, 'ann', 1000, '' from generate_series(1, %d) i",
		"update totals set n = n + %d where shard = 7",
		"insert into nodes select i::text::bytea, '', 1000, 1000 from generate_series(1, %d) i",
		"insert into counts select 'k', i::text::bytea, 1, 1000 from generate_series(1, %d) i",
		"insert into buckets select i::text::bytea, 1000 from generate_series(1, %d) i",
	} {
		shared(t).exec(t, "set search_path to "+schema+"; "+fmt.Sprintf(sql, many))
	}
	if usage, err := s.RevocationUsage(t.Context()); err != nil || usage.Entries != 2*many+1 {
		t.Errorf("%+v, %v", usage, err)
	}
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || !page.End || len(page.Revocations) != 2 || len(page.Events) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	s.sweep(t.Context())
	for table, want := range map[string]string{"log": "3", "tickets": "1", "sessions": "1", "nodes": "1", "counts": "1", "buckets": "1"} {
		if got := shared(t).query(t, "select count(*) from "+schema+"."+table); got != want {
			t.Errorf("%s has %s rows, want %s", table, got, want)
		}
	}
	if got := shared(t).query(t, "select concat_ws(' ', revocations, events) from "+schema+".head"); got != "1 1" {
		t.Errorf("counted %s", got)
	}
	if got := shared(t).query(t, "select string_agg(n::text, ' ') from (select sum(n) as n from "+schema+".totals group by kind) k"); got != "1 1" {
		t.Errorf("totals %s", got)
	}
}

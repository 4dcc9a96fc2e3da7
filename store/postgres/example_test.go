package postgres_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"wsauth/store"
	"wsauth/store/postgres"
)

// Several nodes share a database behind a PgBouncer, and are notified of
// changes over connections of their own.
func ExampleOpen() {
	ctx := context.Background()
	s, err := postgres.Open(ctx, postgres.Config{
		URL:       "postgres://app@pgbouncer.internal:6432/app?sslmode=verify-full", // the password is in ~/.pgpass
		ListenURL: "postgres://app@db1.internal,db2.internal/app?sslmode=verify-full&target_session_attrs=read-write",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	logout := store.Revocation{Target: store.TargetSession, ID: "4711", Expires: time.Now().Add(time.Hour)}
	fmt.Println(s.Revoke(ctx, logout))
}

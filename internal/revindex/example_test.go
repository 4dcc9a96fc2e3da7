package revindex_test

import (
	"context"
	"fmt"
	"time"

	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A node follows the log, looks up each token in its index, and trusts the
// index only while it is in contact with the store.
func ExampleIndex() {
	log := memory.New(store.Limits{})
	ended := make(chan store.Revocation, 1)
	index, err := revindex.New(revindex.Config{
		Log:      log,
		OnRevoke: func(r store.Revocation) { ended <- r }, // here a guard ends sockets
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = index.Run(ctx) }()
	<-index.Ready()

	claims := &token.Claims{Subject: "ann", ID: "4711", ExpiresAt: time.Now().Add(time.Minute)}
	fmt.Println(index.Revoked(claims), time.Since(index.Contact()) < 10*time.Second)

	if err := log.Revoke(ctx, store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: claims.ValidUntil()}); err != nil {
		panic(err)
	}
	r := <-ended
	fmt.Println(index.Revoked(claims), r.Target, r.ID)

	cancel()
	<-stopped
	// Output:
	// false true
	// true token 4711
}

// Logout everywhere: sessions that the subject has started so far end, and
// later ones do not, even within the same second.
func ExampleConcerns() {
	session := store.NewSessionID(time.Now())
	everywhere := store.Revocation{
		Target:  store.TargetSubject,
		ID:      "ann",
		Before:  time.Now(),
		Expires: time.Now().Add(30 * 24 * time.Hour), // the lifetime of refresh tokens
	}
	for everywhere.Before.UnixMilli() == time.Now().UnixMilli() {
		continue // the next millisecond
	}
	again := store.NewSessionID(time.Now())

	issued := time.Now().Truncate(time.Second)
	fmt.Println(revindex.Concerns(everywhere, &token.Claims{Subject: "ann", SessionID: session, IssuedAt: issued}))
	fmt.Println(revindex.Concerns(everywhere, &token.Claims{Subject: "ann", SessionID: again, IssuedAt: issued}))
	// Output:
	// true
	// false
}

package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wsauth/store"
	"wsauth/store/bolt"
)

// Revocations persist across a restart.
func ExampleOpen() {
	directory, err := os.MkdirTemp("", "wsauth")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "wsauth.db")
	ctx := context.Background()

	s, err := bolt.Open(path, store.Limits{})
	if err != nil {
		panic(err)
	}
	logout := store.Revocation{Target: store.TargetSession, ID: "4711", Expires: time.Now().Add(time.Hour)}
	fmt.Println(s.Revoke(ctx, logout), s.Close())

	if s, err = bolt.Open(path, store.Limits{}); err != nil {
		panic(err)
	}
	defer s.Close()
	page, err := s.Read(ctx, store.Cursor{})
	fmt.Println(page.Revocations[0].Target, page.Revocations[0].ID, err)
	// Output:
	// <nil> <nil>
	// session 4711 <nil>
}

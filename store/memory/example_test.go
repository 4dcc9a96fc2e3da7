package memory_test

import (
	"context"
	"fmt"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
)

func ExampleNew() {
	ctx := context.Background()
	log := memory.New(store.Limits{Revocations: 1})
	expires := time.Now().Add(time.Hour)
	fmt.Println(log.Revoke(ctx, store.Revocation{Target: store.TargetSession, ID: "a", Expires: expires}))
	fmt.Println(log.Revoke(ctx, store.Revocation{Target: store.TargetSession, ID: "b", Expires: expires}))

	page, err := log.Read(ctx, store.Cursor{})
	fmt.Println(len(page.Revocations), page.Revocations[0].ID, err)
	// Output:
	// <nil>
	// store: full
	// 1 a <nil>
}

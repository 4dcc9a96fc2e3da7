package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"wsauth/internal/clusterkeys"
	"wsauth/store"
)

const (
	// ticketRecord is the name of the record with the key of the nodes'
	// tickets.
	ticketRecord = "ticket key"

	ticketKeySize = 32 // bytes
)

// ticketKey returns the key with which the nodes recognize each other's
// tickets. Without a secret, the key is a record in the store. A forged ticket
// is refused even if its author has read the key, because the store does not
// contain it.
func ticketKey(ctx context.Context, secret *clusterkeys.Secret, records store.Records) ([]byte, error) {
	if secret != nil {
		return secret.Derive("ticket key 1", ticketKeySize), nil
	}
	r := store.Record{Value: make([]byte, ticketKeySize), Version: 1}
	_, _ = rand.Read(r.Value) // never fails
	err := records.WriteRecord(ctx, ticketRecord, r)
	if errors.Is(err, store.ErrConflict) { // another node has written it
		r, err = records.ReadRecord(ctx, ticketRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the tickets: %w", err)
	}
	return r.Value, nil
}

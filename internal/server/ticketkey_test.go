package server

import (
	"bytes"
	"testing"

	"wsauth/internal/clusterkeys"
	"wsauth/store"
	"wsauth/store/memory"
)

// TestTicketKey checks that all nodes get the same key, with a secret and
// without one, and that another cluster gets another key.
func TestTicketKey(t *testing.T) {
	one, err := clusterkeys.NewSecret([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := clusterkeys.NewSecret([]byte("zyxwvutsrqponmlkjihgfedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, secret := range []*clusterkeys.Secret{one, other, nil} {
		shared := memory.New(store.Limits{})
		var first []byte
		for range 3 {
			key, err := ticketKey(t.Context(), secret, shared)
			if err != nil || len(key) != ticketKeySize {
				t.Fatalf("%d bytes, %v, want %d", len(key), err, ticketKeySize)
			}
			if first == nil {
				first = key
			}
			if !bytes.Equal(key, first) {
				t.Error("two nodes have different keys")
			}
		}
		if seen[string(first)] {
			t.Error("two clusters have the same key")
		}
		seen[string(first)] = true
	}
}

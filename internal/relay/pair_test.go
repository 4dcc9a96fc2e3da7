package relay

import "testing"

// TestParty: the access log says who ended a socket.
func TestParty(t *testing.T) {
	for party, want := range map[Party]string{TheRelay: "relay", TheClient: "client", TheUpstream: "upstream", TheOwner: "gateway"} {
		if got := party.String(); got != want {
			t.Errorf("%d is the %s, want the %s", party, got, want)
		}
	}
	if 1+Party(client) != TheClient || 1+Party(upstream) != TheUpstream {
		t.Error("a side is not a party by its number and one")
	}
}

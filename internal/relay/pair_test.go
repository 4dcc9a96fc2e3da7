package relay

import "testing"

// TestParty checks the names of parties in the access log.
func TestParty(t *testing.T) {
	for party, want := range map[Party]string{TheRelay: "relay", TheClient: "client", TheUpstream: "upstream", TheOwner: "gateway"} {
		if got := party.String(); got != want {
			t.Errorf("Party(%d) = %q, want %q", party, got, want)
		}
	}
	if 1+Party(client) != TheClient || 1+Party(upstream) != TheUpstream {
		t.Error("the party of a side is not 1+Party(side)")
	}
}

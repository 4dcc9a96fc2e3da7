package nodelease

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/store"
)

// A Node is a node that is alive.
type Node struct {
	ID      string
	Name    string
	Version string
	Keys    []string // IDs of the keys whose tokens it accepts; nil if it has published none
	Users   []string // hashes of the user files that it has read; nil if it has none
	Started time.Time
	Until   time.Time // when its lease ends, by the clock of the store
}

// data is what a node stores for the others, as JSON. Later versions may add
// members.
type data struct {
	Name    string   `json:"name,omitzero"`
	Version string   `json:"version,omitzero"`
	Keys    []string `json:"keys,omitzero"` // null and [] differ
	Users   []string `json:"users,omitzero"`
}

// maxData is the limit of [store.Node].
const maxData = 4 << 10

// encode returns the JSON. It fails if there are too many keys.
func (d data) encode() ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("nodelease: %w", err)
	}
	if len(text) > maxData {
		return nil, fmt.Errorf("nodelease: the IDs of %d keys are longer than the %d bytes that a node can publish: remove keys that have expired with wsauth keys prune, or give them shorter IDs", len(d.Keys), maxData)
	}
	return text, nil
}

// parse returns a stored node. If its Data is not JSON, it has only an ID and
// its times.
func parse(n store.Node) Node {
	var d data
	if err := json.Unmarshal(n.Data, &d); err != nil {
		d = data{}
	}
	return Node{ID: n.ID, Name: d.Name, Version: d.Version, Keys: d.Keys, Users: d.Users, Started: n.Started, Until: n.Until}
}

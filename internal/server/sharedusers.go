package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"

	"wsauth/internal/errtext"
	"wsauth/internal/nodelease"
)

// userNodes publishes the hashes of the user files that this node has read, and
// lists those of all nodes. *nodelease.Lease implements it.
type userNodes interface {
	PublishUsers(ctx context.Context, hashes []string) error
	List(context.Context) ([]nodelease.Node, error)
}

// A sharedUsers is the user file of a node of a cluster. A changed file takes
// effect once all nodes have read it. Otherwise an old password would stay
// valid on the nodes that have not read the new file.
type sharedUsers struct {
	file    string
	nodes   userNodes
	log     *slog.Logger
	current string // hash of the file in effect
	waiting bool   // for the other nodes to read the file
}

// newSharedUsers publishes the hash of the current file, and logs a warning if
// another node has a different file.
func newSharedUsers(ctx context.Context, file string, nodes userNodes, log *slog.Logger) (*sharedUsers, error) {
	u := &sharedUsers{file: file, nodes: nodes, log: log}
	hash, err := hashFile(file)
	if err != nil {
		return nil, err
	}
	if err := u.publish(ctx, hash); err != nil {
		return nil, err
	}
	switch lacking, err := u.lacking(ctx, hash); {
	case err != nil:
		return nil, err
	case lacking != "":
		log.Warn("the users of this node are not those of another one: use the same file on all nodes", "file", file, "node", lacking)
	}
	return u, nil
}

// hashFile returns a short hash of a file. An attacker cannot use it to guess
// passwords, because each password in the file has a random salt.
func hashFile(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--users: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// publish records hash as that of the file in effect, and tells the other
// nodes.
func (u *sharedUsers) publish(ctx context.Context, hash string) error {
	u.current, u.waiting = hash, false
	return u.nodes.PublishUsers(ctx, []string{hash})
}

// lacking returns the ID of a node that has not read the file with this hash,
// or "".
func (u *sharedUsers) lacking(ctx context.Context, hash string) (string, error) {
	nodes, err := u.nodes.List(ctx)
	if err != nil {
		return "", err
	}
	if lacking := nodelease.LacksUsers(nodes, hash); len(lacking) > 0 {
		return lacking[0].ID, nil
	}
	return "", nil
}

// refusal returns why the current content of the file may not take effect yet,
// or "". It publishes that this node has read it.
func (u *sharedUsers) refusal(ctx context.Context) string {
	u.waiting = false
	hash, err := hashFile(u.file)
	if err != nil {
		return "" // reading the file reports it
	}
	hashes := []string{u.current, hash}
	if hash == u.current {
		hashes = hashes[:1]
	}
	if err := u.nodes.PublishUsers(ctx, hashes); err != nil {
		u.waiting = true
		return errtext.Of(err)
	}
	if hash == u.current {
		return ""
	}
	node, err := u.lacking(ctx, hash)
	switch u.waiting = err != nil || node != ""; {
	case err != nil:
		return errtext.Of(err)
	case node != "":
		return fmt.Sprintf("%s: the node %s has not read the same file, so a changed password would be valid on some nodes only: put the file on all nodes; it takes effect when all have read it", u.file, node)
	}
	return ""
}

// applied publishes that the content of the file has taken effect.
func (u *sharedUsers) applied(ctx context.Context) {
	hash, err := hashFile(u.file)
	if err == nil {
		err = u.publish(ctx, hash)
	}
	if err != nil {
		u.log.Error("the other nodes do not know which users this one has", "error", err)
	}
}

package clusterkeys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/keyfile"
	"wsauth/store"
	"wsauth/token"
	"wsauth/token/keyring"
)

const (
	// recordPrefix is the part of the record's name before the ID of the
	// cluster. Since the ID depends on the secret, nodes with a new secret do
	// not replace the record of those with the old one.
	recordPrefix = "keys-"

	// baseName is the name of the file in the key folder that contains the
	// base. It is not read as a key.
	baseName = ".cluster"

	// attempts is how often a synchronization is tried if other nodes or
	// programs change the keys at the same time.
	attempts = 10
)

// A recordValue is the value of the record before it is sealed, as JSON.
type recordValue struct {
	Files state `json:"files"`
}

// A ForeignError means that the key folder belongs to another server.
type ForeignError struct {
	Dir  string
	Keys []string // IDs of keys that the cluster does not have
}

// Error says what to do.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("the key folder %s has keys that the other nodes do not have (%s), so it belongs to another server: move its files away to take over the keys of the other nodes, which ends the sessions of the moved keys; or copy the files into the key folder of a running node first, which gives these keys to all nodes",
		e.Dir, strings.Join(e.Keys, ", "))
}

// sync makes the key folder and the record the same.
func (k *Keys) sync(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for range attempts {
		err = k.syncOnce(ctx)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, keyring.ErrChanged) {
			return err
		}
	}
	return err
}

// syncOnce is one attempt of sync. It returns [store.ErrConflict] or
// [keyring.ErrChanged] if another attempt is needed.
func (k *Keys) syncOnce(ctx context.Context) error {
	record, version, err := k.readRecord(ctx)
	if err != nil {
		return err
	}
	files, err := keyring.ReadFiles(k.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := k.readBase()
	if err != nil {
		return err
	}
	merged, err := k.merged(from, files, record, version)
	if err != nil {
		return err
	}
	if !merged.equal(record) {
		if err := k.writeRecord(ctx, merged, version+1); err != nil {
			return err
		}
	}
	if after := merged.files(); !maps.EqualFunc(files, after, bytes.Equal) {
		if err := keyring.ReplaceFiles(ctx, k.dir, files, after); err != nil {
			return err
		}
	}
	if next := newBase(k.secret.id(), merged); !next.equal(from) {
		if err := k.writeBase(next); err != nil {
			return err
		}
	}
	if !merged.equal(k.synced) {
		k.synced, k.shared = merged, map[string]bool{}
		for _, e := range merged.keys() {
			k.shared[e.Key.ID()] = true
		}
	}
	return nil
}

// merged merges the changes of the folder and of the record, and returns the
// state that both must have. version is 0 if there is no record.
func (k *Keys) merged(from base, files map[string][]byte, record state, version uint64) (state, error) {
	isMember := from.Cluster == k.secret.id()
	if !isMember {
		from = base{}
	}
	switch {
	case isMember:
	case k.synced != nil:
		// The folder was replaced while this node was running. Its files are
		// additions, and files that it lacks were not deleted.
		record = record.merge(k.synced)
	case version == 0 && len(files) == 0:
		// The first node of a new cluster. If there are several, only one of
		// them can write the record.
		key, err := token.GenerateKey(token.ES256)
		if err != nil {
			return nil, err
		}
		return state{key.ID() + ".jwk": {1, append(key.JWK(), '\n')}}, nil
	case version > 0:
		// The record is in effect, even if the folder has older copies of its
		// files.
		if foreign := foreignKeys(files, record); len(foreign) > 0 {
			return nil, &ForeignError{k.dir, foreign}
		}
		return record, nil
	}
	local, deleted := from.local(files, record)
	merged := local.merge(record)
	if len(deleted) > 0 && !merged.canSign(time.Now()) {
		// An empty folder is more likely an accident than the wish that no
		// node can sign.
		k.log.Error("the last keys that can sign were deleted from the key folder, and are restored: to replace them, add a new key first, with wsauth keys generate --lead=0s", "folder", k.dir, "files", deleted)
		for _, name := range deleted {
			delete(local, name)
		}
		merged = local.merge(record)
	}
	merged.trim()
	if merged.equal(k.synced) {
		return merged, nil // has been checked
	}
	if err := keyring.CheckFiles(k.dir, merged.files()); err != nil {
		return nil, fmt.Errorf("the keys of this folder and of the other nodes together: %w", err)
	}
	return merged, nil
}

// foreignKeys returns the IDs of the keys in files that are not in the record.
func foreignKeys(files map[string][]byte, record state) (ids []string) {
	shared := record.keys()
	for name, data := range files {
		e, err := keyring.Parse(name, data)
		if err != nil {
			continue // ReadFiles has parsed it
		}
		if !slices.ContainsFunc(shared, func(s keyring.Entry) bool { return bytes.Equal(s.Key.JWK(), e.Key.JWK()) }) {
			ids = append(ids, e.Key.ID())
		}
	}
	slices.Sort(ids)
	return ids
}

func (k *Keys) recordName() string { return recordPrefix + k.secret.id() }

// readRecord returns the shared state and the version of the record, or 0 if
// there is none.
func (k *Keys) readRecord(ctx context.Context) (state, uint64, error) {
	record, err := k.records.ReadRecord(ctx, k.recordName())
	if errors.Is(err, store.ErrNotFound) {
		return state{}, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the keys from the store: %w", err)
	}
	text, err := k.secret.open(k.recordName(), record.Version, record.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("the keys in the store: %w", err)
	}
	var value recordValue
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, 0, errors.New("the keys in the store: written by a later version of wsauth")
	}
	return value.Files, record.Version, nil
}

// writeRecord stores the shared state. It returns [store.ErrConflict] if
// another node was faster.
func (k *Keys) writeRecord(ctx context.Context, s state, version uint64) error {
	text, err := json.Marshal(recordValue{s})
	if err != nil {
		return fmt.Errorf("write the keys to the store: %w", err)
	}
	sealed := k.secret.seal(k.recordName(), version, text)
	if len(sealed) > store.MaxRecordValue {
		return fmt.Errorf("the keys are too large for the store (%d bytes; it takes %d): remove those that have expired with wsauth keys prune, or use ES256, whose keys are small", len(sealed), store.MaxRecordValue)
	}
	err = k.records.WriteRecord(ctx, k.recordName(), store.Record{Value: sealed, Version: version})
	switch {
	case errors.Is(err, store.ErrUnconfirmed): // if it is lost, this node writes it again
	case err != nil:
		return fmt.Errorf("write the keys to the store: %w", err)
	}
	k.log.Info("the keys in the store were changed", "folder", k.dir, "version", version)
	return nil
}

// readBase returns the base of the folder, or the zero base if it has none.
func (k *Keys) readBase() (b base, err error) {
	text, err := os.ReadFile(filepath.Join(k.dir, baseName))
	if errors.Is(err, fs.ErrNotExist) {
		return base{}, nil
	}
	if err != nil {
		return base{}, fmt.Errorf("the key folder: %w", err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return base{}, fmt.Errorf("%s is damaged: remove it", filepath.Join(k.dir, baseName))
	}
	return b, nil
}

func (k *Keys) writeBase(b base) error {
	text, err := json.Marshal(b, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("the key folder: %w", err)
	}
	if err := keyfile.Replace(filepath.Join(k.dir, baseName), append(text, '\n')); err != nil {
		return fmt.Errorf("the key folder must be writable, since the keys of all nodes are kept in it: %w", err)
	}
	return nil
}

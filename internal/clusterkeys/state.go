package clusterkeys

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"wsauth/token/keyring"
)

// A state is the content of a key folder with its history: what each file
// contains, or that it was deleted. Two states can be merged in any order and
// any number of times with the same result. No change is lost, even if several
// nodes make one at the same time, or if the store loses the latest writes.
type state map[string]entry

// An entry is one file of a state.
type entry struct {
	// Revision is higher than that of every entry that was known when the file
	// was changed.
	Revision uint64 `json:"rev"`
	Data     []byte `json:"data,omitzero"` // nil: the file was deleted
}

// compare orders entries of a file. The highest one is in effect. At the same
// revision, a deletion is higher than a change, because it may revoke a stolen
// key.
func (e entry) compare(other entry) int {
	if c := cmp.Compare(e.Revision, other.Revision); c != 0 {
		return c
	}
	if deleted, other := e.Data == nil, other.Data == nil; deleted != other {
		if deleted {
			return 1
		}
		return -1
	}
	return bytes.Compare(e.Data, other.Data)
}

func (e entry) equal(other entry) bool { return e.compare(other) == 0 }

func (s state) equal(other state) bool { return maps.EqualFunc(s, other, entry.equal) }

// merge returns the entries of both states that are in effect.
func (s state) merge(other state) state {
	merged := maps.Clone(s)
	for name, e := range other {
		if ours, ok := merged[name]; !ok || e.compare(ours) > 0 {
			merged[name] = e
		}
	}
	return merged
}

// next returns the revision of the next change.
func (s state) next() uint64 {
	var last uint64
	for _, e := range s {
		last = max(last, e.Revision)
	}
	return last + 1
}

// files returns the files that exist.
func (s state) files() map[string][]byte {
	files := map[string][]byte{}
	for name, e := range s {
		if e.Data != nil {
			files[name] = e.Data
		}
	}
	return files
}

// maxDeleted is how many deleted files a state remembers. A node that was off
// while more files were deleted would bring back the oldest of them.
const maxDeleted = 200

// trim forgets the oldest deletions if there are more than maxDeleted.
func (s state) trim() {
	var deleted []string
	for name, e := range s {
		if e.Data == nil {
			deleted = append(deleted, name)
		}
	}
	slices.SortFunc(deleted, func(a, b string) int {
		return cmp.Or(cmp.Compare(s[b].Revision, s[a].Revision), strings.Compare(a, b))
	})
	for _, name := range deleted[min(len(deleted), maxDeleted):] {
		delete(s, name)
	}
}

// keys returns the usable keys of the files.
func (s state) keys() (keys []keyring.Entry) {
	for name, data := range s.files() {
		// A node wrote only files that were usable.
		if e, err := keyring.Parse(name, data); err == nil {
			keys = append(keys, e)
		}
	}
	return keys
}

// canSign reports whether a key can sign now or later.
func (s state) canSign(now time.Time) bool {
	return slices.ContainsFunc(s.keys(), func(e keyring.Entry) bool {
		return e.Key.CanSign() && (e.Expires.IsZero() || now.Before(e.Expires))
	})
}

// A base is the state of a folder when it was last the same as the record. A
// node compares the folder with it to find the changes in the folder.
type base struct {
	Cluster string              `json:"cluster"` // ID of the cluster
	Files   map[string]baseFile `json:"files"`
}

// A baseFile is an entry without its content.
type baseFile struct {
	Revision uint64 `json:"rev"`
	Hash     string `json:"sha256,omitzero"` // empty: the file was deleted
}

func newBase(cluster string, s state) base {
	b := base{cluster, make(map[string]baseFile, len(s))}
	for name, e := range s {
		b.Files[name] = baseFile{e.Revision, hashOf(e.Data)}
	}
	return b
}

func hashOf(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (b base) equal(other base) bool {
	return b.Cluster == other.Cluster && maps.Equal(b.Files, other.Files)
}

// local returns the state of a folder with these files. Files that have changed
// since b get a new revision, unless the record has the same change. deleted
// are the files that were deleted since b.
func (b base) local(files map[string][]byte, record state) (local state, deleted []string) {
	next := record.next()
	for _, f := range b.Files {
		next = max(next, f.Revision+1)
	}
	local = state{}
	for name, data := range files {
		known, ok := b.Files[name]
		theirs, has := record[name]
		switch {
		case ok && known.Hash == hashOf(data):
			local[name] = entry{known.Revision, data}
		case has && bytes.Equal(theirs.Data, data):
			local[name] = theirs
		default:
			local[name] = entry{next, data}
		}
	}
	for name, known := range b.Files {
		if _, exists := files[name]; exists {
			continue
		}
		theirs, has := record[name]
		switch {
		case known.Hash == "":
			local[name] = entry{known.Revision, nil}
		case has && theirs.Data == nil:
			local[name] = theirs
		default:
			local[name] = entry{next, nil}
			deleted = append(deleted, name)
		}
	}
	return local, deleted
}

package bolt

import (
	"bytes"
	"io"
	"sort"

	"go.etcd.io/bbolt"
)

// trees checks the pages of an open file before bbolt follows them, within one
// transaction. bbolt follows child pointers without a limit. If damaged branch
// pages form a cycle, its stack overflows. This crashes the process and cannot
// be recovered.
//
// Each page is read and checked once by this package's own reader. The keys of
// a page must ascend within the bounds given by its parent, and each page must
// have one parent. So no page is its own ancestor. When bbolt merges a page
// with its neighbor in a commit, the neighbor is not an ancestor either.
//
// The methods panic with a [DamageError], as those of [table] do.
type trees struct {
	pages    *pageReader
	headers  map[string][]byte   // values of the buckets, by name
	branches map[uint64]*frame   // checked branch pages
	leaves   map[uint64]struct{} // checked leaf pages
}

// newTrees returns the trees of a transaction. It checks the tree of buckets.
func newTrees(file io.ReaderAt, pageSize uint64, tx *bbolt.Tx) *trees {
	m := meta{pageSize: pageSize, high: uint64(tx.Size()) / pageSize, root: uint64(tx.Cursor().Bucket().Root())}
	t := &trees{
		pages:    newPageReader(file, m),
		headers:  make(map[string][]byte, len(buckets)),
		branches: map[uint64]*frame{},
		leaves:   map[uint64]struct{}{},
	}
	err := t.pages.walk(m.root, func(e element) error {
		if !e.bucket || len(e.value) < bucketHead {
			return damaged("a record lies outside of the buckets")
		}
		t.headers[string(e.key)] = bytes.Clone(e.value)
		return nil
	})
	require(err)
	return t
}

// root claims and returns the root page of a bucket. For an inline bucket, it
// checks the bucket and returns 0.
func (t *trees) root(name []byte) uint64 {
	header, ok := t.headers[string(name)]
	if !ok {
		panic(damaged("it has no bucket %s", name))
	}
	root := native.Uint64(header)
	if root == 0 {
		_, err := inlineElements(header)
		require(err)
		return 0
	}
	if !t.checked(root) {
		require(t.pages.claim(root, 1))
	}
	return root
}

// checked reports whether a page has been checked.
func (t *trees) checked(number uint64) bool {
	_, isLeaf := t.leaves[number]
	return isLeaf || t.branches[number] != nil
}

// A choice returns the index of the child of a branch page to follow.
type choice func(branch []element) int

func firstChild([]element) int { return 0 }

func lastChild(branch []element) int { return len(branch) - 1 }

// childOf chooses the child that bbolt would follow to find key: the last one
// whose key is not after key.
func childOf(key []byte) choice {
	return func(branch []element) int {
		after := sort.Search(len(branch), func(i int) bool { return bytes.Compare(branch[i].key, key) > 0 })
		return max(0, after-1)
	}
}

// path checks the pages from a root to the leaf that next chooses.
func (t *trees) path(root uint64, next choice) {
	var low, high []byte
	for depth := maxDepth; ; depth-- {
		branch := t.page(root, low, high, depth)
		if branch == nil {
			return
		}
		i := next(branch)
		low, high = bounds(branch, i, high)
		root = branch[i].child
	}
}

// around checks the path to a leaf, and the paths to the leaves before and
// after it: a cursor may move to these, and bbolt may merge them in a commit.
// around returns the first key of the leaf after it, or nil if there is none.
func (t *trees) around(root uint64, next choice) (until []byte) {
	return t.aroundFrom(root, nil, nil, maxDepth, next, true)
}

func (t *trees) aroundFrom(number uint64, low, high []byte, depth int, next choice, neighbors bool) (until []byte) {
	branch := t.page(number, low, high, depth)
	if branch == nil {
		return high
	}
	visit := func(i int, next choice, neighbors bool) []byte {
		low, high := bounds(branch, i, high)
		return t.aroundFrom(branch[i].child, low, high, depth-1, next, neighbors)
	}
	i := next(branch)
	if neighbors && i > 0 {
		visit(i-1, lastChild, false)
	}
	if neighbors && i+1 < len(branch) {
		visit(i+1, firstChild, false)
	}
	return visit(i, next, neighbors)
}

// all checks every page below a root.
func (t *trees) all(root uint64) { t.allFrom(root, nil, nil, maxDepth) }

func (t *trees) allFrom(number uint64, low, high []byte, depth int) {
	branch := t.page(number, low, high, depth)
	for i, e := range branch {
		low, high := bounds(branch, i, high)
		t.allFrom(e.child, low, high, depth-1)
	}
}

// bounds returns the bounds for the keys of child i. A nil upper bound means
// no bound.
func bounds(branch []element, i int, end []byte) (low, high []byte) {
	if i+1 < len(branch) {
		end = branch[i+1].key
	}
	return branch[i].key, end
}

// page checks a claimed page, unless it has already been checked, and claims
// its children. It returns the elements of a branch page, or nil for a leaf.
func (t *trees) page(number uint64, low, high []byte, depth int) []element {
	if f := t.branches[number]; f != nil {
		return f.elements
	}
	if t.checked(number) {
		return nil
	}
	f := t.pages.frame()
	page, err := t.pages.load(number, branchPage|leafPage, f)
	require(err)
	all, err := elements(f.elements[:0], page, low, high)
	isLeaf, isRoot := native.Uint16(page[8:]) == leafPage, depth == maxDepth
	if err != nil || depth == 0 || len(all) == 0 && !(isLeaf && isRoot) {
		panic(damaged("page %d is damaged", number))
	}
	f.elements = all
	if isLeaf {
		t.pages.release(f)
		t.leaves[number] = struct{}{}
		return nil
	}
	for _, e := range all {
		require(t.pages.claim(e.child, 1))
	}
	t.branches[number] = f
	return all
}

// close releases the memory of t when its transaction has ended.
func (t *trees) close() {
	for _, f := range t.branches {
		t.pages.release(f)
	}
	for _, f := range t.pages.spare {
		frames.Put(f)
	}
	*t = trees{}
}

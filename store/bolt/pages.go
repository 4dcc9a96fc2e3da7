package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"sync"
)

// The parts of the layout of bbolt's files that this package reads without
// bbolt. Numbers have the byte order of the machine.
//
// A page begins with its number (8 bytes), its kind (2), the number of its
// elements (2) and the number of its overflow pages (4). An element of a leaf
// has flags, the offset of its key, and the lengths of key and value, 4 bytes
// each. An element of a branch has the offset and length of its key, and the
// number of a child page (8 bytes). The value of a bucket is the number of its
// root page and its sequence number, 8 bytes each. A small bucket has the root
// page number 0, and its value also contains the page itself.
const (
	pageHead     = 16
	elementSize  = 16
	bucketHead   = 16
	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	bucketFlag   = 0x01

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	noFreelist  = 1<<64 - 1

	maxPageSize = 16 << 20
	maxDepth    = 64 // maximum depth of a tree; a tree of 2^48 pages is less deep
)

var native = binary.NativeEndian

// A meta is one of the first two pages, which describe the file.
type meta struct {
	pageSize uint64
	root     uint64 // page number of the root bucket
	freelist uint64
	high     uint64 // number of pages that are or were in use
	tx       uint64
}

// readMeta reads page 0 or 1.
func readMeta(file io.ReaderAt, number uint64, pageSize uint64) (meta, error) {
	var b [pageHead + metaSize]byte
	if _, err := file.ReadAt(b[:], int64(number*pageSize)); err != nil {
		return meta{}, unreadable(number, err)
	}
	m := b[pageHead:]
	if native.Uint64(b[:]) != number || native.Uint16(b[8:]) != metaPage ||
		native.Uint32(m) != metaMagic || native.Uint32(m[4:]) != metaVersion || native.Uint64(m[56:]) != metaChecksum(m) {
		return meta{}, damaged("page %d does not begin a store", number)
	}
	return meta{
		pageSize: uint64(native.Uint32(m[8:])),
		root:     native.Uint64(m[16:]),
		freelist: native.Uint64(m[32:]),
		high:     native.Uint64(m[40:]),
		tx:       native.Uint64(m[48:]),
	}, nil
}

func metaChecksum(m []byte) uint64 {
	h := fnv.New64a()
	h.Write(m[:56])
	return h.Sum64()
}

// readMetas reads both meta pages and returns the newer one. If the newer one
// is damaged, bbolt uses the older one and loses a commit. readMetas fails if
// either is damaged, if they are not from consecutive commits, or if the file
// is too short.
func readMetas(file io.ReaderAt, length int64) (newer meta, err error) {
	if length == 0 {
		return meta{}, damaged("it is empty")
	}
	first, err := readMeta(file, 0, 0)
	if err != nil {
		return meta{}, err
	}
	size := first.pageSize
	if size < 1024 || size > maxPageSize || size&(size-1) != 0 {
		return meta{}, damaged("pages of %d bytes", size)
	}
	second, err := readMeta(file, 1, size)
	if err != nil {
		return meta{}, err
	}
	newer = first
	older := second
	if second.tx > first.tx {
		newer, older = second, first
	}
	if older.tx+1 != newer.tx || older.pageSize != newer.pageSize {
		return meta{}, damaged("page 0 is of commit %d and page 1 of commit %d", first.tx, second.tx)
	}
	if has := uint64(length) / size; newer.high > has {
		return meta{}, damaged("it is cut off: %d of %d pages are left", has, newer.high)
	}
	return newer, nil
}

// mirror copies the newer meta page, which describes the durable commit tx, to
// the older one. bbolt writes the two pages alternately. Without mirror, if the
// disk lost the write of the newer page, bbolt would use the older one, which
// describes the previous commit. It is safe to overwrite the older page: bbolt
// does so itself in its next commit, and does not read it while the newer one
// is valid.
func mirror(file readerWriterAt, pageSize uint64, tx uint64) error {
	var b [pageHead + metaSize]byte
	for number := range uint64(2) {
		if m, err := readMeta(file, number, pageSize); err != nil || m.tx != tx {
			continue
		}
		if _, err := file.ReadAt(b[:], int64(number*pageSize)); err != nil {
			return err
		}
		other := 1 - number
		native.PutUint64(b[:], other)
		native.PutUint64(b[pageHead+48:], tx-1)
		native.PutUint64(b[pageHead+56:], metaChecksum(b[pageHead:]))
		_, err := file.WriteAt(b[:], int64(other*pageSize))
		return err
	}
	return nil
}

type readerWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// unreadable returns the error for a page that could not be read.
func unreadable(number uint64, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return damaged("it ends before page %d", number)
	case errors.Is(err, os.ErrClosed):
		return err
	}
	return damaged("page %d cannot be read: %v", number, err)
}

// A pageReader reads the trees of a file. It reads each page once, and
// validates everything that it reads.
type pageReader struct {
	file  io.ReaderAt
	meta  meta
	seen  []uint64 // one bit per page
	spare []*frame // unused frames
}

func newPageReader(file io.ReaderAt, m meta) *pageReader {
	return &pageReader{file: file, meta: m, seen: make([]uint64, (m.high+63)/64)}
}

// A frame is a buffer for a page and its elements. Reading a tree needs one
// for each level.
type frame struct {
	page     []byte
	elements []element
}

// frame returns an unused frame.
func (p *pageReader) frame() *frame {
	if last := len(p.spare) - 1; last >= 0 {
		f := p.spare[last]
		p.spare = p.spare[:last]
		return f
	}
	if f, ok := frames.Get().(*frame); ok && uint64(len(f.page)) == p.meta.pageSize {
		return f
	}
	return &frame{page: make([]byte, p.meta.pageSize)}
}

// frames contains unused frames, for later readers.
var frames sync.Pool

// release undoes frame.
func (p *pageReader) release(f *frame) { p.spare = append(p.spare, f) }

// claim marks pages as read. It fails if a page does not exist or was marked
// before.
func (p *pageReader) claim(first, count uint64) error {
	if first < 2 || first >= p.meta.high || count > p.meta.high-first {
		return damaged("page %d is not part of the file", first)
	}
	for n := first; n < first+count; n++ {
		if p.seen[n/64]&(1<<(n%64)) != 0 {
			return damaged("page %d is in two places", n)
		}
		p.seen[n/64] |= 1 << (n % 64)
	}
	return nil
}

// read claims and loads a page of one of the given kinds.
func (p *pageReader) read(number uint64, kinds uint16, f *frame) ([]byte, error) {
	if err := p.claim(number, 1); err != nil {
		return nil, err
	}
	return p.load(number, kinds, f)
}

// load returns a claimed page of one of the given kinds. It also claims and
// loads its overflow pages.
func (p *pageReader) load(number uint64, kinds uint16, f *frame) ([]byte, error) {
	size := p.meta.pageSize
	page := f.page
	if _, err := p.file.ReadAt(page, int64(number*size)); err != nil {
		return nil, unreadable(number, err)
	}
	kind, more := native.Uint16(page[8:]), uint64(native.Uint32(page[12:]))
	if native.Uint64(page) != number || kind&kinds == 0 || kind&(kind-1) != 0 {
		return nil, damaged("page %d is another one, or none", number)
	}
	if more == 0 {
		return page, nil
	}
	if err := p.claim(number+1, more); err != nil {
		return nil, err
	}
	page = make([]byte, (1+more)*size)
	if _, err := p.file.ReadAt(page, int64(number*size)); err != nil {
		return nil, unreadable(number, err)
	}
	return page, nil
}

// An element is an element of a leaf page, with a value, or of a branch page,
// with a child.
type element struct {
	bucket     bool
	key, value []byte
	child      uint64
}

var errElements = errors.New("damaged elements")

// elements appends the elements of a page to all. Their keys must ascend and be
// within the bounds low and high. If high is nil, there is no upper bound.
func elements(all []element, page []byte, low, high []byte) ([]element, error) {
	leaf, count := native.Uint16(page[8:]) == leafPage, int(native.Uint16(page[10:]))
	if pageHead+count*elementSize > len(page) {
		return nil, errElements
	}
	all = slices.Grow(all, count)[:count]
	for i := range all {
		at := pageHead + i*elementSize
		e := page[at:]
		var from, keySize, valueSize uint64
		if leaf {
			flags := native.Uint32(e)
			from, keySize, valueSize = uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
			if flags&^bucketFlag != 0 {
				return nil, errElements
			}
			all[i] = element{bucket: flags == bucketFlag}
		} else {
			from, keySize = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:]))
			all[i] = element{child: native.Uint64(e[8:])}
		}
		from += uint64(at)
		end := from + keySize
		if keySize == 0 || from < uint64(pageHead+count*elementSize) || end+valueSize > uint64(len(page)) {
			return nil, errElements
		}
		all[i].key, all[i].value = page[from:end], page[end:end+valueSize]
		tooLow := bytes.Compare(all[i].key, low) < 0 || i > 0 && bytes.Equal(all[i].key, low)
		if tooLow || high != nil && bytes.Compare(all[i].key, high) >= 0 {
			return nil, errElements
		}
		low = all[i].key
	}
	return all, nil
}

// walk calls leaf for each element of a tree in the order of keys. The element
// is valid until leaf returns.
func (p *pageReader) walk(root uint64, leaf func(element) error) error {
	return p.walkFrom(root, nil, nil, maxDepth, leaf)
}

func (p *pageReader) walkFrom(number uint64, low, high []byte, depth int, leaf func(element) error) error {
	f := p.frame()
	defer p.release(f)
	page, err := p.read(number, branchPage|leafPage, f)
	if err != nil {
		return err
	}
	all, err := elements(f.elements[:0], page, low, high)
	if err != nil {
		return damaged("page %d is damaged", number)
	}
	f.elements = all
	isLeaf := native.Uint16(page[8:]) == leafPage
	if !isLeaf && (len(all) == 0 || depth == 0) {
		return damaged("page %d is damaged", number)
	}
	for i, e := range all {
		if isLeaf {
			err = leaf(e)
		} else {
			until := high
			if i+1 < len(all) {
				until = all[i+1].key
			}
			err = p.walkFrom(e.child, e.key, until, depth-1, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walkBucket calls walk for a bucket, given its value in the tree of buckets.
func (p *pageReader) walkBucket(header []byte, leaf func(element) error) error {
	if root := native.Uint64(header); root != 0 {
		return p.walk(root, leaf)
	}
	all, err := inlineElements(header)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := leaf(e); err != nil {
			return err
		}
	}
	return nil
}

// inlineElements returns the elements of a small bucket, which has no page of
// its own, given its value in the tree of buckets.
func inlineElements(header []byte) ([]element, error) {
	page := header[bucketHead:]
	if len(page) < pageHead || native.Uint16(page[8:]) != leafPage {
		return nil, damaged("a small bucket is damaged")
	}
	all, err := elements(nil, page, nil, nil)
	if err != nil {
		return nil, damaged("a small bucket is damaged")
	}
	return all, nil
}

// checkFreelist checks the list of free pages, if the file has one. Call it
// after all other pages have been read.
func (p *pageReader) checkFreelist() error {
	if p.meta.freelist == noFreelist {
		return nil
	}
	page, err := p.read(p.meta.freelist, freelistPage, p.frame())
	if err != nil {
		return err
	}
	count, ids := uint64(native.Uint16(page[10:])), page[pageHead:]
	if count == 0xFFFF && len(ids) >= 8 {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return damaged("the list of free pages is damaged")
	}
	for i := range count {
		if err := p.claim(native.Uint64(ids[8*i:]), 1); err != nil {
			return err
		}
	}
	return nil
}

package revindex

import (
	"hash/maphash"
	"sync/atomic"
)

// filterWords is the number of words of a filter, which are 2 MiB.
const filterWords = 1 << 18

// A filter is a Bloom filter for the names in a set. It excludes most other
// names at a fraction of the cost of map lookups. For each name it sets two
// bits in one word. With a million names, about 1.5 % of other names pass. Its
// seed is random, so that nobody can choose names that pass.
//
// Only one goroutine may add names at a time; any number may call mayHold
// meanwhile.
type filter struct {
	seed  maphash.Seed
	empty atomic.Bool // whether it contains the empty name
	words []atomic.Uint64
}

func newFilter() *filter {
	return &filter{seed: maphash.MakeSeed(), words: make([]atomic.Uint64, filterWords)}
}

func (f *filter) add(id string) {
	if id == "" {
		f.empty.Store(true)
		return
	}
	word, bits := f.place(id)
	word.Or(bits)
}

// mayHold reports whether id may have been added. False is always right.
func (f *filter) mayHold(id string) bool {
	if id == "" {
		return f.empty.Load()
	}
	word, bits := f.place(id)
	return word.Load()&bits == bits
}

// place returns the word of a name and the mask of its two bits, which may
// coincide.
func (f *filter) place(id string) (word *atomic.Uint64, bits uint64) {
	h := maphash.String(f.seed, id)
	return &f.words[h%filterWords], 1<<(h>>58) | 1<<(h>>52&63)
}

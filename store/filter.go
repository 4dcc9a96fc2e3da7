package store

import (
	"hash/maphash"
	"sync/atomic"
)

// filterWords is the size of a filter, 2 MiB.
const filterWords = 1 << 18

// filter knows most of the names that a set does not hold, at the cost of a
// fraction of a look into its maps: a Bloom filter that sets two bits of one
// word for each name. With a million names in it, it is wrong about 1.5 of 100
// others. Its seed is its own, so that no one can choose names that it is wrong
// about.
//
// Names are added one at a time; any number of readers may look meanwhile.
type filter struct {
	seed  maphash.Seed
	empty atomic.Bool // whether the empty name is in it
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

// mayHold reports false only for what was never added.
func (f *filter) mayHold(id string) bool {
	if id == "" {
		return f.empty.Load()
	}
	word, bits := f.place(id)
	return word.Load()&bits == bits
}

// place returns the word of a name and its two bits, which may be one.
func (f *filter) place(id string) (word *atomic.Uint64, bits uint64) {
	h := maphash.String(f.seed, id)
	return &f.words[h%filterWords], 1<<(h>>58) | 1<<(h>>52&63)
}

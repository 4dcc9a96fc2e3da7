package store

import "hash/maphash"

// filterBits is the size of a filter, 2 MiB. With a million names in it, it is
// wrong about 6 of 100 others.
const filterBits = 1 << 24

// filter knows most of the names that a set does not hold, at the cost of a
// fraction of a look into its maps: a Bloom filter with one hash function. Its
// seed is its own, so that no one can choose names that it is wrong about.
type filter struct {
	seed maphash.Seed
	bits []uint64
}

func newFilter() *filter {
	return &filter{seed: maphash.MakeSeed(), bits: make([]uint64, filterBits/64)}
}

func (f *filter) add(id string) {
	bit := f.bit(id)
	f.bits[bit/64] |= 1 << (bit % 64)
}

// mayHold reports false only for what was never added.
func (f *filter) mayHold(id string) bool {
	bit := f.bit(id)
	return f.bits[bit/64]>>(bit%64)&1 != 0
}

func (f *filter) bit(id string) uint64 { return maphash.String(f.seed, id) % filterBits }

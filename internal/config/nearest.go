package config

import (
	"maps"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearest is the name that is written most like s, "" where none is much like it.
func nearest(s string, names map[string]int) string {
	best, most := "", 2 // that many letters may differ
	if len(s) > 40 {
		return ""
	}
	for _, name := range sortedKeys(names) {
		if d := distance(s, name); d <= most && d < min(len(s), len(name)) {
			best, most = name, d-1
		}
	}
	return best
}

// distance is how many letters must be put in, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left, above := row[0], 0
		row[0] = i + 1
		for j := range len(b) {
			above = row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, left+cost)
			left = above
		}
	}
	return row[len(b)]
}

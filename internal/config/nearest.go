package config

import (
	"maps"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearest returns the name that is most similar to s, or "" if none is
// similar.
func nearest(s string, names map[string]int) string {
	best, most := "", 2 // maximum number of different letters
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

// distance returns the number of letters to insert, delete or replace to turn
// a into b.
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

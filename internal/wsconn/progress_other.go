//go:build !linux

package wsconn

// unsentOf returns 0, because the number is unknown on this system.
func unsentOf(uintptr) int { return 0 }

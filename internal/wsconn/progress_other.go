//go:build !linux

package wsconn

// UnsentOf returns 0, because the number is unknown on this system.
func UnsentOf(uintptr) int { return 0 }

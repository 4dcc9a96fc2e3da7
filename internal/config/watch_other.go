//go:build !linux

package config

import "os"

// A pin holds an inode. Only Linux has one that needs no permission.
type pin struct{}

func newPin(look) pin { return pin{} }

func (pin) release() {}

// arrivals knows nothing here: how a file came is told by [wasMoved].
type arrivals struct{}

func newArrivals() arrivals { return arrivals{} }

func (arrivals) close() {}

func (arrivals) watch(...string) {}

func (arrivals) read() {}

func (arrivals) settle() {}

func (arrivals) renamed(string) (renamed, known bool) { return false, false }

// wasMoved reports whether a file was written before it got its name. That
// cannot be told here: a file with another inode counts.
func wasMoved(os.FileInfo) bool { return true }

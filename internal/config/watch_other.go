//go:build !linux

package config

import "os"

// A pin keeps an inode open. This works without permission on Linux only.
type pin struct{}

func newPin(snapshot) pin { return pin{} }

func (pin) release() {}

// arrivals does nothing on this system; [wasMoved] decides how a file was
// created.
type arrivals struct{}

func newArrivals() arrivals { return arrivals{} }

func (arrivals) close() {}

func (arrivals) watch(...string) {}

func (arrivals) read() {}

func (arrivals) forget() {}

func (arrivals) renamed(string) (renamed, known bool) { return false, false }

// wasMoved reports whether a file was written before it got its name. This is
// unknown here, so every file with a new inode is treated as renamed.
func wasMoved(os.FileInfo) bool { return true }

//go:build !unix

package main

// serveMain runs main. Only Unix can limit the size of files.
func serveMain() { main() }

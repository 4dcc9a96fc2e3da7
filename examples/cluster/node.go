package main

import (
	"os/exec"
	"sync"
)

// A node is a gateway.
type node struct {
	name, address, data string

	mu      sync.Mutex
	process *exec.Cmd // nil unless the node is running
	ended   chan struct{}
}

// started records the process of the node.
func (n *node) started(process *exec.Cmd) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ended := make(chan struct{})
	n.process, n.ended = process, ended
	go func() {
		_ = process.Wait()
		close(ended)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.process == process {
			n.process = nil
		}
	}()
}

// alive reports whether the process is running.
func (n *node) alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process != nil
}

// kill kills the process, as kill -9 does, and waits for its end.
func (n *node) kill() {
	n.mu.Lock()
	process, ended := n.process, n.ended
	n.mu.Unlock()
	if process != nil {
		_ = process.Process.Kill()
		<-ended
	}
}

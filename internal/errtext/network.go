package errtext

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// ofNetwork returns the sentence for a network error.
func ofNetwork(op *net.OpError) sentence {
	if op.Op == "listen" {
		if s := ofListen(op); s.description != "" {
			return s
		}
	}
	inner := sentence{description: innermost(op.Err)}
	if again, ok := op.Err.(*net.OpError); ok { //nolint:errorlint // as package net nests them
		inner = ofNetwork(again)
	}
	if dns, ok := errors.AsType[*net.DNSError](op); ok {
		inner = ofName(dns)
	}
	if op.Op == "proxyconnect" {
		return sentence{"the proxy cannot be used, since " + inner.description, inner.advice}
	}
	if op.Addr == nil {
		return inner
	}
	address := op.Addr.String()
	if _, isFile := op.Addr.(*net.UnixAddr); isFile {
		if s := ofFile(address, op); s.description != "" {
			return s
		}
	}
	switch {
	case errors.Is(op, syscall.ECONNREFUSED):
		return sentence{"nothing listens on " + address, "check the address, and whether the server runs"}
	case errors.Is(op, syscall.EHOSTUNREACH), errors.Is(op, syscall.ENETUNREACH):
		return sentence{"there is no way to " + address, "check the address and the network"}
	case errors.Is(op, syscall.ECONNRESET), errors.Is(op, syscall.EPIPE):
		return sentence{address + " has cut the connection", "try again, or see its log"}
	case op.Timeout():
		return sentence{address + " does not answer in time", "check the address and the network"}
	}
	return sentence{description: address + ": " + inner.description}
}

// ofName returns the sentence for a failed DNS lookup.
func ofName(err *net.DNSError) sentence {
	if err.IsNotFound {
		return sentence{"there is no host called " + err.Name, "check the spelling"}
	}
	return sentence{"the name " + err.Name + " cannot be looked up", "check the network and the resolver"}
}

// innermost returns the text of the innermost error.
func innermost(err error) string {
	for {
		switch inner := errors.Unwrap(err); {
		case inner != nil:
			err = inner
		case err == nil:
			return "it failed"
		default:
			return err.Error()
		}
	}
}

func ofListen(op *net.OpError) sentence {
	address := fmt.Sprint(op.Addr)
	switch {
	case errors.Is(op, syscall.EADDRINUSE):
		return sentence{"another program already listens on " + address, "stop it, or choose another address"}
	case errors.Is(op, syscall.EADDRNOTAVAIL):
		return sentence{"this machine does not have the address " + address, "choose one that it has, such as 127.0.0.1, or 0.0.0.0 for all of them"}
	case errors.Is(op, fs.ErrPermission):
		return sentence{"this user is not allowed to listen on " + address, "choose a port above 1023"}
	}
	return sentence{}
}

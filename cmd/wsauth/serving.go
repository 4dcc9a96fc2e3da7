package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"wsauth/gateway"
	"wsauth/internal/config"
	"wsauth/token/keyring"
)

// A serving is a server with everything that it has opened.
type serving struct {
	settings  config.Settings
	described gateway.Config
	log       *slog.Logger
	reloads   *reloader

	listener net.Listener // for clients
	metrics  net.Listener // nil unless passed by the service manager
	dir      string       // data folder
	keys     *keyring.Ring
	users    *userFile // nil without a file
	gateway  *gateway.Gateway
	served   bool // the gateway shuts itself down
	// Functions that end what was begun, in order of beginning.
	ends []func() error
}

// open opens everything that a server needs, until ctx is done or close is
// called. If it fails, call close as well.
func (v *serving) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{v.listen, v.openData, v.openGateway, v.openOperations} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything in reverse order.
func (v *serving) close() (err error) {
	for i := len(v.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, v.ends[i]())
	}
	return err
}

// until registers a function that ends something and cannot fail.
func (v *serving) until(stop func()) {
	v.ends = append(v.ends, func() error {
		stop()
		return nil
	})
}

// serve serves clients until ctx is done. If sockets had to be cut after
// --drain, that is not an error.
func (v *serving) serve(ctx context.Context) error {
	v.served = true
	err := v.gateway.Serve(ctx, v.listener)
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		v.log.Warn("stopped; sockets that had not closed in time were cut", "drain", v.settings.Drain, "err", err)
		return nil
	}
	return err
}

// demo reports whether the well-known demonstration user may log in.
func (v *serving) demo() bool {
	return v.settings.Users == "" && (len(v.settings.Routes) == 0 || v.settings.InsecureDemoUser)
}

// url returns the URL of the server for this machine.
func (v *serving) url() string {
	if v.described.Certificate != nil {
		return "https://" + reachable(v.listener) + "/"
	}
	return "http://" + reachable(v.listener) + "/"
}

// listen opens the listener for clients, or takes it from the service manager,
// and opens the certificate.
func (v *serving) listen(ctx context.Context) error {
	sockets, err := passedSockets()
	if err != nil {
		return err
	}
	address := v.settings.Listen
	v.listener, v.metrics = sockets.clients, sockets.metrics
	if v.listener != nil {
		address = v.listener.Addr().String()
		if text := v.settings.PlainHTTP(address); text != "" && v.settings.PlainHTTP(v.settings.Listen) == "" && v.listener.Addr().Network() == "tcp" {
			// Not known from the settings.
			v.log.Warn("insecure", "setting", text)
		}
	} else if v.listener, err = listen(ctx, address); err != nil {
		return err
	}
	// The gateway may already have closed it.
	v.until(func() { _ = v.listener.Close() })
	if v.demo() && !v.settings.InsecureDemoUser && len(v.settings.TrustedProxies) > 0 {
		return errors.New("trusted_proxies: other machines reach the server through a proxy, and everybody knows the password of the user test: set your users with --users=FILE, or allow it with --insecure-demo-user")
	}
	if v.demo() && !v.settings.InsecureDemoUser && !onLoopback(v.listener) {
		return fmt.Errorf("other machines can reach %s, and everybody knows the password of the user test: set your users with --users=FILE, listen on this machine only (--addr=127.0.0.1:8000), or allow it with --insecure-demo-user", address)
	}
	if v.settings.TLS.Cert == "" {
		return nil
	}
	certificate, err := openCertificate(v.settings.TLS, v.log)
	if err != nil {
		return err
	}
	v.described.Certificate = certificate.Get
	v.reloads.add(certificate.part())
	return nil
}

// openData opens the data folder with the keys and the store, and the users.
func (v *serving) openData(ctx context.Context) (err error) {
	stopsItself(ctx) // until here, files were read that may be pipes
	if v.dir, err = folder(v.settings.Data); err != nil {
		return err
	}
	if err := makeFolder(v.dir); err != nil {
		return err
	}
	if v.keys, err = openKeys(ctx, v.settings.Keys, v.dir, v.log); err != nil {
		return err
	}
	if v.settings.Users != "" {
		if v.users, err = openUsers(v.settings.Users, v.dir, v.log); err != nil {
			return err
		}
	}
	state, err := openStore(v.dir, v.settings.Store, keyFolder(v.settings.Keys, v.dir), v.settings.AcceptLost)
	if err != nil {
		return err
	}
	v.ends = append(v.ends, state.Close)
	v.described.Keys, v.described.Store = v.keys, state
	return nil
}

// openGateway creates the gateway, and watches the files of the keys and
// users.
func (v *serving) openGateway(ctx context.Context) (err error) {
	switch {
	case v.users != nil:
		v.described.Authenticate = v.users.Authenticate
	case v.demo():
		v.described.Authenticate = gateway.DemoUser
	}
	if v.gateway, err = gateway.New(v.described); err != nil {
		return err
	}
	v.ends = append(v.ends, func() error {
		if v.served {
			return nil
		}
		return v.gateway.Shutdown(ctx)
	})
	if err := begin(ctx, v.gateway, v.users, filepath.Join(v.dir, seenName), v.log); err != nil {
		return err
	}
	forget, err := beginRemembered(ctx, v.gateway, v.described.Store, newMemory(keyFolder(v.settings.Keys, v.dir), v.dir), v.settings.AcceptLost, v.log)
	if err != nil {
		return err
	}
	v.until(forget)
	switch {
	case v.users != nil:
		v.log.Info("users", "file", v.settings.Users, "users", v.users.Len())
		v.reloads.add(v.users.part(v.gateway, v.settings.Watch))
	case v.demo():
		v.log.Warn("demonstration: everybody may log in", "user", "test", "password", "test")
	default:
		v.log.Info("no users: logins are disabled")
	}
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { v.keys.Watch(watching) })
	v.until(func() {
		stop()
		watched.Wait()
	})
	return nil
}

// openOperations starts the services for operators.
func (v *serving) openOperations(ctx context.Context) error {
	stop, err := serveOperations(ctx, v.settings.Metrics.Listen, v.metrics, v.gateway, v.log)
	if err != nil {
		return err
	}
	v.until(stop)
	if stop, err = administer(ctx, v.gateway, v.settings, v.dir, v.reloads, v.log); err != nil {
		return err
	}
	v.until(stop)
	return nil
}

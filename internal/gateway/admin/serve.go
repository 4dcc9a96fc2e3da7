package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/gateway/peers"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
)

// stopTime is how long requests may continue after Serve was told to stop.
const stopTime = problem.StoreTimeout + time.Second

// Serve serves the API on l until ctx is done, and closes l. On a Unix socket
// it requires no token, because the permissions of the file protect it. It
// refuses a TCP address that other machines can reach, and every TCP address if
// [Config.TokenFile] is not set.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	handler, err := a.handler(l.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    problem.MaxHead,
		ErrorLog:          telemetry.NewServerLog(a.log),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(connlimit.Bound(server, l)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err = server.Shutdown(ctx); err != nil {
		err = errors.Join(err, server.Close())
	}
	// Serve has returned, so l is closed.
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// handler returns the handler for requests to addr, or an error if the API may
// not be served there.
func (a *API) handler(addr net.Addr) (http.Handler, error) {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return a.private, nil
	case !tcp.IP.IsLoopback():
		return nil, errors.New("admin: other machines can reach " + addr.String() + ": use a loopback address such as 127.0.0.1, because the operators' token is sent in plain text")
	case a.port == nil:
		return nil, errors.New("admin: all users of this machine can reach " + addr.String() + ": a token is required")
	}
	return a.port, nil
}

// Private returns the handler for Unix sockets, and for the requests of other
// nodes (see [peers.Peers.Serve]). It requires no token.
func (a *API) Private() http.Handler { return a.private }

// origin returns attributes for the log that say where a request comes from.
func origin(r *http.Request) []any {
	switch network := networkOf(r); network {
	case "tcp":
		return []any{"via", network, "remote", logtext.Host(r.RemoteAddr)}
	case peers.Network:
		return []any{"via", network, "node", logtext.Visible(r.RemoteAddr)}
	default:
		return []any{"via", network}
	}
}

// networkOf returns the network of a request: "unix", "tcp" or [peers.Network].
func networkOf(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr.Network()
	}
	return ""
}

package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// adminStop is how long requests of operators may continue after ServeAdmin
// was told to stop.
const adminStop = problem.StoreTimeout + time.Second

// ServeAdmin serves the API for operators on l until ctx is done, and closes
// l. It refuses an address that other machines can reach, and a TCP address
// without a token.
func (g *Gateway) ServeAdmin(ctx context.Context, l net.Listener, c AdminConfig) error {
	if err := mayAdminister(l.Addr(), c); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{
		Handler:           g.Admin(c),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       30 * time.Second,
		// The limit in Admin is lower, and its answer says which part was too
		// long.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       telemetry.NewServerLog(g.log),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(connlimit.Bound(server, l)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminStop)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	// Serve has returned, so l is closed.
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// mayAdminister returns an error if the API may not be served at addr.
func mayAdminister(addr net.Addr, c AdminConfig) error {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return nil // the file's permissions protect a Unix socket
	case !tcp.IP.IsLoopback():
		return errors.New("gateway: other machines can reach " + addr.String() + ": use a loopback address such as 127.0.0.1, because the operators' token is sent in plain text")
	case c.Token == "" && c.TokenFile == nil:
		return errors.New("gateway: all users of this machine can reach " + addr.String() + ": a token is required")
	}
	return nil
}

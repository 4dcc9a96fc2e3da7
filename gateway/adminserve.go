package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
)

// adminStop is how long requests of operators that are under way have when the API for operators stops.
const adminStop = storeTimeout + time.Second

// ServeAdmin serves the API for operators on l, which it closes, until ctx is done. It refuses an address that other machines can
// reach, and any TCP address without a token.
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
		MaxHeaderBytes:    64 << 10, // limit's own lies lower, and says which part was too long
		ErrorLog:          newServerLog(g.log),
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
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) { // once it has closed l
		err = errors.Join(err, ended)
	}
	return err
}

// mayAdminister reports why operators may not be served at an address.
func mayAdminister(addr net.Addr, c AdminConfig) error {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return nil // who may open a Unix socket is its file's business
	case !tcp.IP.IsLoopback():
		return errors.New("gateway: other machines can reach " + addr.String() + ": operators are served on this machine only, such as on 127.0.0.1, for their token would cross the network in the clear")
	case c.Token == "" && c.TokenFile == nil:
		return errors.New("gateway: everybody on this machine can reach " + addr.String() + ": a token is needed")
	}
	return nil
}

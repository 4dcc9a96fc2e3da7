// Cluster runs three gateways that share one Redis, behind a load balancer, on
// this machine. Its page shows a logout that closes the sockets at all nodes,
// and a node that is killed.
//
// It needs redis-server, and the wsauth command, which it builds. Run it in the
// module:
//
//	go run ./examples/cluster
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const nodes = 3

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run runs the cluster and the load balancer until ctx is done.
func run(ctx context.Context, addr string) error {
	dir, err := os.MkdirTemp("", "wsauth-cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := startCluster(ctx, dir)
	if err != nil {
		return err
	}
	defer c.stop()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newBalancer(c), ReadHeaderTimeout: 10 * time.Second}
	fmt.Printf("Three gateways share a Redis. Open http://%s/ (Ctrl-C to stop)\n", l.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// A cluster is a Redis server, the engine, and the nodes. Each is a process.
type cluster struct {
	dir, wsauth, store string
	engine             *exec.Cmd
	nodes              [nodes]*node
}

// startCluster builds the command and starts all processes. dir holds their
// files.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{dir: dir, wsauth: filepath.Join(dir, "wsauth")}
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", c.wsauth, "wsauth/cmd/wsauth").CombinedOutput(); err != nil { //nolint:gosec // a path of ours
		return nil, fmt.Errorf("build the wsauth command: %w\n%s", err, output)
	}
	// The nodes have only the store and this secret in common. The secret
	// encrypts the keys in the store.
	if err := os.WriteFile(c.secret(), []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		return nil, err
	}
	if err := c.startEngine(ctx); err != nil {
		return nil, err
	}
	for i := range c.nodes {
		address, err := freeAddress(ctx)
		if err == nil {
			c.nodes[i] = &node{name: fmt.Sprint("node ", i+1), address: address, data: filepath.Join(dir, fmt.Sprint("data", i+1))}
			err = c.startNode(ctx, c.nodes[i])
		}
		if err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// secret returns the path of the file with the secret of the cluster.
func (c *cluster) secret() string { return filepath.Join(c.dir, "secret") }

// startEngine starts a Redis that keeps everything in memory.
func (c *cluster) startEngine(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	c.engine = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", c.dir) //nolint:gosec // arguments of ours
	if err := c.engine.Start(); err != nil {
		return fmt.Errorf("start redis-server, which must be installed: %w", err)
	}
	c.store = "redis://" + address
	return awaitListener(ctx, address)
}

// startNode starts a gateway, and waits until it is ready.
func (c *cluster) startNode(ctx context.Context, n *node) error {
	process := exec.Command(c.wsauth, "serve", "--addr="+n.address, "--data="+n.data, "--store="+c.store, "--cluster-secret-file="+c.secret()) //nolint:gosec // arguments of ours
	process.Env = append(os.Environ(), "NO_COLOR=1")
	log, err := os.OpenFile(n.data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return err
	}
	n.started(process)
	if err := awaitReady(ctx, n.address); err != nil {
		output, _ := os.ReadFile(n.data + ".log")
		return fmt.Errorf("%s is not ready: %w\n%s", n.name, err, output)
	}
	return nil
}

// stop ends all processes.
func (c *cluster) stop() {
	for _, n := range c.nodes {
		if n != nil {
			n.kill()
		}
	}
	if c.engine != nil && c.engine.Process != nil {
		_ = c.engine.Process.Kill()
		_ = c.engine.Wait()
	}
}

// freeAddress returns an address of this machine on which nothing listens.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// startTime is how long a process may take to start.
const startTime = 20 * time.Second

// awaitListener waits until something listens on an address.
func awaitListener(ctx context.Context, address string) error {
	return await(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// awaitReady waits until a gateway is ready.
func awaitReady(ctx context.Context, address string) error {
	return await(ctx, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		return nil
	})
}

// await calls try until it succeeds, for at most startTime.
func await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"wsauth/internal/testenv"
)

// TestMain stops the shared servers at the end, and looks for goroutines that
// are left.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range slices.Backward(sharedStops) {
		stop()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// sharedStops stop what all tests share.
var sharedStops []func()

// A process is a server that a test has started, as a user other than root.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
}

// asPostgres returns attributes that start a process as the user postgres if
// the test runs as root, because the servers refuse to run as root.
func asPostgres(t testing.TB) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return attributes
}

// spawn starts a server that logs to a file in dir.
func spawn(t testing.TB, dir, path string, args ...string) *process {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, filepath.Base(path)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = asPostgres(t)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread ends
		started <- p.cmd.Start()
		_ = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return p
}

// signal sends a signal to the process and its children.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// stop ends the process.
func (p *process) stop(s syscall.Signal) {
	p.signal(syscall.SIGCONT)
	p.signal(s)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	_ = p.log.Close()
}

// program returns the path of a program of PostgreSQL.
func program(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	return testenv.NeedProgram(t, name)
}

// newDir returns a folder whose owner is the user of the servers. It is removed
// by the function that newDir also returns.
func newDir(t testing.TB) (string, func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wsauth-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if c := asPostgres(t).Credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

// A server is a PostgreSQL server on a Unix socket.
type server struct {
	dir     string // has the socket
	data    string
	options []string
	process *process
}

// newServer creates a server with options, and starts it.
func newServer(t testing.TB, options ...string) (*server, func()) {
	t.Helper()
	initdb := program(t, "initdb")
	dir, remove := newDir(t)
	s := &server{dir: dir, data: filepath.Join(dir, "data"), options: options}
	run(t, initdb, "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+s.data)
	s.start(t)
	return s, func() {
		s.process.stop(syscall.SIGQUIT)
		remove()
	}
}

// run runs a program to its end.
func run(t testing.TB, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = os.TempDir()
	cmd.SysProcAttr = asPostgres(t)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, output)
	}
}

// start starts the server and waits until it accepts connections.
func (s *server) start(t testing.TB) {
	t.Helper()
	args := []string{
		"-D", s.data, "-F", "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=300",
		"-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=5s",
	}
	for _, option := range s.options {
		args = append(args, "-c", option)
	}
	s.spawn(t, s.dsn("postgres"), program(t, "postgres"), args...)
}

// spawn starts the process of the server, and waits until it answers.
func (s *server) spawn(t testing.TB, dsn, path string, args ...string) {
	t.Helper()
	s.process = spawn(t, s.dir, path, args...)
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.process.done: // children of a process that was killed may still be there
			s.process = spawn(t, s.dir, path, args...)
		default:
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
			return
		}
		last = err
	}
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		t.Logf("%s:\n%s", name, text)
	}
	t.Fatalf("the server does not start: %v", last)
}

// dsn returns the DSN of the server for a role.
func (s *server) dsn(role string) string {
	return fmt.Sprintf("host=%s port=5432 user=%s dbname=postgres", s.dir, role)
}

// signalAll sends a signal to the server and its children, each of which leads
// a process group of its own. It fails the test if it cannot find the children.
func (s *server) signalAll(t testing.TB, sig syscall.Signal) {
	t.Helper()
	parent := strconv.Itoa(s.process.cmd.Process.Pid)
	children, err := os.ReadFile("/proc/" + parent + "/task/" + parent + "/children")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.process.cmd.Process.Signal(sig)
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(pid, sig)
	}
}

// exec runs statements as the superuser.
func (s *server) exec(t testing.TB, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the first column of the first row, as the superuser.
func (s *server) query(t testing.TB, sql string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), "select ("+sql+")::text").Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// shared returns the server that most tests share. It is started when it is
// first needed. The role app may create schemas, but is no superuser.
func shared(t testing.TB) *server {
	t.Helper()
	program(t, "postgres") // skips each test without it
	sharedServer.once.Do(func() {
		s, stop := newServer(t)
		s.exec(t, "create role app login; grant create on database postgres to app")
		sharedServer.server, sharedStops = s, append(sharedStops, stop)
	})
	if sharedServer.server == nil {
		t.Fatal("the shared server does not start")
	}
	return sharedServer.server
}

var sharedServer struct {
	once   sync.Once
	server *server
}

// bouncer returns the DSN of a PgBouncer in front of the shared server, which
// all tests share, too.
func bouncer(t testing.TB) string {
	t.Helper()
	s := shared(t)
	bouncerProgram(t) // skips each test without it
	sharedBouncer.once.Do(func() {
		dsn, stop := s.bounce(t)
		sharedBouncer.dsn, sharedStops = dsn, append(sharedStops, stop)
	})
	if sharedBouncer.dsn == "" {
		t.Fatal("PgBouncer does not start")
	}
	return sharedBouncer.dsn
}

// bouncerProgram returns the path of PgBouncer.
func bouncerProgram(t testing.TB) string {
	t.Helper()
	const path = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return testenv.NeedProgram(t, "pgbouncer")
}

// bounce starts a PgBouncer in transaction mode in front of a server.
func (s *server) bounce(t testing.TB) (dsn string, stop func()) {
	t.Helper()
	dir, remove := newDir(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\npostgres = host=%s port=5432 user=app\n[pgbouncer]\nlisten_addr =\n"+
		"unix_socket_dir = %s\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 5\nmax_client_conn = 500\n", s.dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	dsn = fmt.Sprintf("host=%s port=6432 user=app dbname=postgres", dir)
	p := &server{dir: dir}
	p.spawn(t, dsn, bouncerProgram(t), config)
	return dsn, func() {
		p.process.stop(syscall.SIGQUIT)
		remove()
	}
}

var sharedBouncer struct {
	once sync.Once
	dsn  string
}

// schemas counts the schemas that tests have used.
var schemas atomic.Int64

// newConfig returns a configuration with a new schema.
func newConfig(dsn string) Config {
	return Config{URL: dsn, Schema: fmt.Sprintf("Test %q %d", "x", schemas.Add(1)), Timeout: 10 * time.Second}
}

// open opens a store and closes it at the end of the test.
func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

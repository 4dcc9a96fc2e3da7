package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A watchedFolder is a folder with a file "f.yaml" and a watcher.
type watchedFolder struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	changes []Change
}

// path returns a path in the folder.
func (w *watchedFolder) path(name string) string { return filepath.Join(w.dir, name) }

// write writes a file in place.
func (w *watchedFolder) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// do checks that all steps succeed.
func (w *watchedFolder) do(steps ...error) {
	w.t.Helper()
	if err := errors.Join(steps...); err != nil {
		w.t.Fatal(err)
	}
}

// rename replaces f.yaml by another file, written a while before.
func (w *watchedFolder) rename(text string) {
	w.t.Helper()
	w.write("next", text)
	w.do(os.Rename(w.path("next"), w.path("f.yaml")))
}

// TestWatcher checks that only a rename onto the path, or a new target of a
// link in the path, is reported at once as a change.
func TestWatcher(t *testing.T) {
	type step = func(w *watchedFolder)
	stop := func(d time.Duration) step { return func(*watchedFolder) { time.Sleep(d) } }
	for name, tt := range map[string]struct {
		steps []step
		want  []Change
	}{
		"nothing": {nil, nil},
		"renamed": {[]step{func(w *watchedFolder) { w.rename("b") }}, []Change{Replaced}},
		"renamed, with the same size and time": {[]step{func(w *watchedFolder) {
			at := time.Unix(1_700_000_000, 0)
			w.write("next", "a")
			w.do(os.Chtimes(w.path("next"), at, at), os.Rename(w.path("next"), w.path("f.yaml")))
		}}, []Change{Replaced}},
		"renamed twice": {[]step{
			func(w *watchedFolder) { w.rename("b") }, stop(time.Second), func(w *watchedFolder) { w.rename("c") },
		}, []Change{Replaced, Replaced}},
		"renamed after it was gone": {[]step{
			func(w *watchedFolder) { w.do(os.Remove(w.path("f.yaml"))) }, stop(3 * time.Second), func(w *watchedFolder) { w.rename("b") },
		}, []Change{Replaced}},
		"renamed from another folder": {[]step{func(w *watchedFolder) {
			w.do(os.Mkdir(w.path("sub"), 0o700))
			w.write("sub/next", "b")
			w.do(os.Rename(w.path("sub/next"), w.path("f.yaml")))
		}}, []Change{Replaced}},
		"written in place":   {[]step{func(w *watchedFolder) { w.write("f.yaml", "bb") }}, []Change{InPlace}},
		"written in parts":   {[]step{func(w *watchedFolder) { w.write("f.yaml", "bb") }, stop(time.Second / 2), func(w *watchedFolder) { w.write("f.yaml", "bbb") }}, []Change{InPlace}},
		"written with pause": {[]step{func(w *watchedFolder) { w.write("f.yaml", "bb") }, stop(3 * time.Second), func(w *watchedFolder) { w.write("f.yaml", "bbb") }}, []Change{InPlace, InPlace}},
		"truncated":          {[]step{func(w *watchedFolder) { w.do(os.Truncate(w.path("f.yaml"), 0)) }}, []Change{InPlace}},
		"removed":            {[]step{func(w *watchedFolder) { w.do(os.Remove(w.path("f.yaml"))) }}, nil},
		"moved away and back": {[]step{
			func(w *watchedFolder) { w.do(os.Rename(w.path("f.yaml"), w.path("g"))) }, stop(time.Second),
			func(w *watchedFolder) { w.do(os.Rename(w.path("g"), w.path("f.yaml"))) },
		}, nil},
		// As cp --remove-destination, git checkout, tar, and mv between file systems
		// do: the file exists before its content.
		"created in its place": {[]step{func(w *watchedFolder) {
			w.do(os.Remove(w.path("f.yaml")))
			w.write("f.yaml", "bb")
			w.do(os.Chmod(w.path("f.yaml"), 0o640))
		}}, []Change{InPlace}},
		"moved away and created in its place": {[]step{func(w *watchedFolder) {
			w.do(os.Rename(w.path("f.yaml"), w.path("f.yaml~")))
			w.write("f.yaml", "bb")
		}, stop(3 * time.Second), func(w *watchedFolder) { w.write("f.yaml", "bbb") }}, []Change{InPlace, InPlace}},
		"created in its place, then renamed": {[]step{
			func(w *watchedFolder) { w.do(os.Remove(w.path("f.yaml"))); w.write("f.yaml", "bb") }, stop(time.Second / 2),
			func(w *watchedFolder) { w.rename("c") },
		}, []Change{Replaced}},
		"renamed, then written": {[]step{func(w *watchedFolder) {
			w.rename("b")
			w.write("f.yaml", "bb")
		}}, []Change{InPlace}},
		"renamed empty, then written": {[]step{func(w *watchedFolder) {
			w.rename("")
			w.write("f.yaml", "bb")
		}, stop(3 * time.Second), func(w *watchedFolder) { w.write("f.yaml", "bbb") }}, []Change{InPlace, InPlace}},
		"renamed, then truncated": {[]step{func(w *watchedFolder) {
			w.rename("bb")
			w.do(os.Truncate(w.path("f.yaml"), 1))
		}}, []Change{InPlace}},
		"renamed, written, then renamed": {[]step{func(w *watchedFolder) {
			w.rename("b")
			w.write("f.yaml", "bb")
			w.rename("c")
		}}, []Change{Replaced}},
		"written, then renamed": {[]step{func(w *watchedFolder) {
			w.write("f.yaml", "bb")
			w.rename("b")
		}}, []Change{Replaced}},
		"another link": {[]step{func(w *watchedFolder) {
			w.write("other", "b")
			w.do(os.Symlink("other", w.path("l")), os.Rename(w.path("l"), w.path("f.yaml")))
		}}, []Change{Replaced}},
		// As Kubernetes mounts a ConfigMap: the path of f.yaml leads through ..data.
		"another link on the way": {[]step{func(w *watchedFolder) {
			w.do(os.Mkdir(w.path("..1"), 0o700), os.Mkdir(w.path("..2"), 0o700))
			w.write("..1/f.yaml", "b")
			w.write("..2/f.yaml", "b")
			w.do(os.Symlink("..1", w.path("..data")), os.Remove(w.path("f.yaml")), os.Symlink("..data/f.yaml", w.path("f.yaml")))
		}, stop(time.Second), func(w *watchedFolder) {
			w.do(os.Symlink("..2", w.path("..tmp")), os.Rename(w.path("..tmp"), w.path("..data")), os.RemoveAll(w.path("..1")))
		}, stop(time.Second), func(w *watchedFolder) {
			w.write("..2/f.yaml", "in place")
		}}, []Change{Replaced, Replaced, InPlace}},
		"renamed behind a link": {[]step{func(w *watchedFolder) {
			w.do(os.Mkdir(w.path("real"), 0o700))
			w.write("real/f", "b")
			w.do(os.Symlink("real/f", w.path("l")), os.Rename(w.path("l"), w.path("f.yaml")))
		}, stop(time.Second), func(w *watchedFolder) {
			w.write("real/next", "c")
			w.do(os.Rename(w.path("real/next"), w.path("real/f")))
		}}, []Change{Replaced, Replaced}},
		"a link that leads round": {[]step{func(w *watchedFolder) {
			w.do(os.Remove(w.path("f.yaml")), os.Symlink("f.yaml", w.path("f.yaml")))
		}}, nil},
		"a folder": {[]step{func(w *watchedFolder) {
			w.do(os.Remove(w.path("f.yaml")), os.Mkdir(w.path("f.yaml"), 0o700))
		}}, []Change{InPlace}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watchedFolder{t: t, dir: t.TempDir()}
				w.write("f.yaml", "a")
				watcher := NewWatcher(w.path("f.yaml"))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					watcher.Run(ctx, func(c Change) {
						w.mu.Lock()
						defer w.mu.Unlock()
						w.changes = append(w.changes, c)
					})
				}()
				time.Sleep(pollInterval/2 + pollInterval)
				for _, step := range tt.steps {
					step(w)
				}
				time.Sleep(time.Second)
				if tt.want != nil && tt.want[len(tt.want)-1] == Replaced {
					w.expect(tt.want, "within a second")
				}
				time.Sleep(5 * time.Second)
				w.expect(tt.want, "at last")
				cancel()
				<-done
			})
		})
	}
}

// expect checks which changes were reported.
func (w *watchedFolder) expect(want []Change, when string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.changes, want) {
		w.t.Errorf("%s: changes %v, want %v (0 is a file replaced, 1 one changed in place)", when, w.changes, want)
	}
}

func TestNeedRestart(t *testing.T) {
	running, next := Default(), Default()
	next.Log.Level = "debug"
	if keys := NeedRestart(running, next); keys != nil {
		t.Errorf("got %q", keys)
	}
	next.Listen, next.Log.Format, next.Routes = "x", "json", []Route{{}}
	if keys := NeedRestart(running, next); !slices.Equal(keys, []string{"listen", "log.format", "routes"}) {
		t.Errorf("got %q", keys)
	}
	running.Routes = []Route{{Path: "/"}}
	if keys := NeedRestart(running, next); !slices.Equal(keys, []string{"listen", "log.format"}) {
		t.Errorf("got %q", keys)
	}
}

package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		file := filepath.Join(folder, "f.yaml")
		stamp := time.Now()
		write := func(name, text string) {
			t.Helper()
			stamp = stamp.Add(time.Second)
			name = filepath.Join(folder, name)
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		write("f.yaml", "a")
		ctx, stop := context.WithCancel(t.Context())
		var calls atomic.Int32
		done := make(chan struct{})
		w := NewWatcher(file)
		go func() {
			defer close(done)
			w.Run(ctx, func() { calls.Add(1) })
		}()
		expect := func(what string, seconds, want int) {
			t.Helper()
			time.Sleep(time.Duration(seconds) * time.Second)
			synctest.Wait()
			if n := int(calls.Load()); n != want {
				t.Errorf("%s: %d calls, want %d", what, n, want)
			}
		}
		time.Sleep(time.Second / 2) // between two looks
		expect("nothing has happened", 5, 0)
		write("f.yaml", "b")
		expect("written just now", 1, 0)
		expect("written", 1, 1)
		expect("no more than once", 5, 1)
		write("f.yaml", "c")
		expect("half written", 1, 1)
		write("f.yaml", "cc")
		expect("still being written", 1, 1)
		expect("whole", 1, 2)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		expect("gone", 5, 2)
		write("f.yaml", "d")
		expect("there again", 2, 3)
		write("other", "d")
		if err := os.Chtimes(filepath.Join(folder, "other"), stamp.Add(-time.Second), stamp.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "other"), file); err != nil {
			t.Fatal(err)
		}
		expect("another with the same size and time in its place", 2, 4)
		stop()
		<-done
	})
}

func TestNeedRestart(t *testing.T) {
	running, next := Default(), Default()
	next.Log.Level = "debug"
	if keys := NeedRestart(running, next); keys != nil {
		t.Errorf("%q", keys)
	}
	next.Listen, next.Log.Format, next.Routes = "x", "json", []Route{{}}
	if keys := NeedRestart(running, next); !slices.Equal(keys, []string{"listen", "log.format", "routes"}) {
		t.Errorf("%q", keys)
	}
	running.Routes = []Route{{Path: "/"}}
	if keys := NeedRestart(running, next); !slices.Equal(keys, []string{"listen", "log.format"}) {
		t.Errorf("%q", keys)
	}
}

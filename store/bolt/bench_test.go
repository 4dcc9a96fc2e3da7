package bolt

import (
	"os"
	"path/filepath"
	"testing"

	"wsauth/store"
)

// BenchmarkSync is what the file system takes to make a page durable, to
// compare BenchmarkRevoke with.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRevoke(b *testing.B) {
	b.Run("lone", func(b *testing.B) {
		s := open(b, newPath(b), Options{})
		for b.Loop() {
			if err := s.Revoke(b.Context(), inAMinute(store.NewSessionID())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("concurrent", func(b *testing.B) {
		s := open(b, newPath(b), Options{})
		b.SetParallelism(100)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.Revoke(b.Context(), inAMinute(store.NewSessionID())); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "revocations/s")
	})
}

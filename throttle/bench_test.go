package throttle

import (
	"strconv"
	"sync/atomic"
	"testing"
)

func BenchmarkTry(b *testing.B) {
	b.Run("known", func(b *testing.B) {
		th, _ := alone(b)
		a := by("alice", v4(1))
		signIn(b, th, a)
		b.ReportAllocs()
		for b.Loop() {
			k, _ := th.Try(a)
			k.Success()
		}
	})
	b.Run("refused", func(b *testing.B) {
		th, _ := alone(b)
		a := by("alice", v6(1, 1, 1))
		failures(b, th, a, 10)
		for b.Loop() {
			if _, err := th.Try(a); err == nil {
				b.Fatal("was not refused")
			}
		}
	})
	b.Run("strangers", func(b *testing.B) {
		th, _ := alone(b)
		i := 0
		for b.Loop() {
			i++
			if k, err := th.Try(by("user"+strconv.Itoa(i), v4(i))); err == nil {
				k.Failure()
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		th, _ := alone(b)
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			a := by("user"+strconv.Itoa(int(n.Add(1))), v6(1, 1, 1))
			for pb.Next() {
				if k, err := th.Try(a); err == nil {
					k.Success()
				}
			}
		})
	})
}

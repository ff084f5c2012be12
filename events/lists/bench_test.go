package lists

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// What a change costs each node that holds the list: all of it is packed and
// signed again, and sent to each API that waits.
func BenchmarkEdition(b *testing.B) {
	for _, share := range []int{0, 10_000, 1_000, 100, 10} {
		name := "none"
		if share > 0 {
			name = fmt.Sprintf("1_in_%d", share)
		}
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			l := &list{number: 1, uri: status.URI(w.cfg.Issuer, 1), bits: make([]byte, status.Places/8), confirmed: w.clock.Now()}
			for i := range uint32(status.Places) {
				if share > 0 && rand.IntN(share) == 0 {
					set(l.bits, i)
				}
			}
			b.ResetTimer()
			var e *Edition
			for b.Loop() {
				var err error
				e, err = w.newEdition(b.Context(), l, w.clock.Now())
				must(b, err)
				e.Gzip()
			}
			b.ReportMetric(float64(len(e.Body)), "bytes")
			b.ReportMetric(float64(len(e.Gzip())), "gzip-bytes")
		})
	}
}

// What a look at the store costs while so much was revoked lately: all of it is
// read again, four times a second while there are changes.
func BenchmarkLook(b *testing.B) {
	for _, revoked := range []int{0, 1_000, 10_000} {
		b.Run(fmt.Sprint(revoked), func(b *testing.B) {
			w := newWorld(b)
			p, _ := w.token()
			w.latest(p.List)
			for left := revoked; left > 0; left -= 100 {
				var puts []storage.Put
				for range 100 {
					_, jti := w.token()
					put, _ := status.RevokedPut(jti, w.clock.Now(), w.clock.Now().Add(30*time.Minute))
					puts = append(puts, put)
				}
				w.commit(storage.Partition(fmt.Sprintf("u/%d", left)), puts...)
			}
			b.ResetTimer()
			for b.Loop() {
				w.look(0)
			}
		})
	}
}

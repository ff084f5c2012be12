package verify

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkVerify shows what the status check adds to a verification: nothing
// that can be told from noise.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{rs256, es256, eddsa} {
		for _, c := range []struct {
			name string
			none bool
		}{{"with status", false}, {"without status", true}} {
			b.Run(alg+"/"+c.name, func(b *testing.B) {
				is := newIssuer(b)
				is.publish(list1, make([]byte, 1<<17))
				v := is.verifier(b, func(o *Options) { o.NoStatus = c.none })
				token := sign(b, alg, alg, "at+jwt", accessClaims(7), nil)
				for b.Loop() {
					if _, err := v.Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRatio verifies one token with the status check and one without, in
// turn, so that what else the machine does falls on both.
func BenchmarkRatio(b *testing.B) {
	is := newIssuer(b)
	is.publish(list1, make([]byte, 1<<17))
	both := []*Verifier{is.verifier(b, nil), is.verifier(b, func(o *Options) { o.NoStatus = true })}
	token := sign(b, rs256, rs256, "at+jwt", accessClaims(7), nil)
	var took [2][]time.Duration
	for b.Loop() {
		for i, v := range both {
			begun := time.Now()
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(begun))
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	middle := len(took[0]) / 2
	b.ReportMetric(took[0][middle].Seconds()/took[1][middle].Seconds(), "with/without")
}

// BenchmarkStatus is the check of the status alone.
func BenchmarkStatus(b *testing.B) {
	is := newIssuer(b)
	is.publish(list1, make([]byte, 1<<17))
	v := is.verifier(b, nil)
	v.accepts(b, "first", access(b, 7, nil))
	index := int64(7)
	for b.Loop() {
		if _, err := v.lists.check(b.Context(), place{&index, list1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList reads a list of a million tokens, of which one in a hundred is
// revoked.
func BenchmarkList(b *testing.B) {
	is := newIssuer(b)
	v := is.verifier(b, nil)
	bits := make([]byte, 1<<17)
	for i := 0; i < 1<<20; i += 100 {
		at := i + i*7919%97
		bits[at/8] |= 1 << (at % 8)
	}
	token := listToken(b, list1, bits, nil)
	for b.Loop() {
		c, err := parseCompact(token, mostList)
		must(b, err)
		_, err = v.checkSignature(b.Context(), &c, typeList)
		must(b, err)
		_, err = v.parseList(&c, list1, time.Now())
		must(b, err)
	}
	b.ReportMetric(float64(len(token)), "wire-bytes")
}

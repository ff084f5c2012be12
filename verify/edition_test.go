package verify

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The vectors of the draft (Token Status List §4.1, §4.2 and its appendix).
const bigVector = "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb"

func TestL5_L7_L8_L10_VectorsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		width int
		lst   string
		want  []byte
	}{
		"L7":          {1, "eNrbuRgAAhcBXQ", []byte{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}},
		"L8":          {2, "eNo76fITAAPfAgc", []byte{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}},
		"L9 Go's own": {1, "eNrauRgQAAD__wIXAV0", []byte{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}},
	} {
		bits, err := inflate(c.lst)
		must(t, err)
		e := edition{width: c.width, bits: bits}
		for i, want := range c.want {
			if got, ok := e.at(int64(i)); got != want || !ok {
				t.Errorf("%s: status %d is %d, %v", name, i, got, ok)
			}
		}
		for _, beyond := range []int64{int64(len(c.want)), 1 << 62, -1} {
			if _, ok := e.at(beyond); ok {
				t.Errorf("%s: %d is in the list", name, beyond)
			}
		}
	}
	bits, err := inflate(bigVector)
	must(t, err)
	if sum := sha256.Sum256(bits); hex.EncodeToString(sum[:]) != "f2529d5d7b48665f8be86037b271b92a9cc7690a42688193d3c97baf2a1e4794" {
		t.Errorf("L10: %d bytes, %x", len(bits), sum)
	}
	e, ones := edition{width: 1, bits: bits}, 0
	for i := range int64(1 << 20) {
		if status, _ := e.at(i); status == 1 {
			ones++
		}
	}
	for _, i := range []int64{0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345} {
		if status, ok := e.at(i); status != 1 || !ok || ones != 11 {
			t.Errorf("L10: %d is %d; %d ones", i, status, ones)
		}
	}
}

func TestL4_L19_ListsThatDoNotInflate(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := zlib.NewWriterLevel(&bomb, zlib.BestSpeed)
	for range 8 {
		w.Write(make([]byte, 1<<20)) // 8 MiB in some KiB
	}
	w.Close()
	good, _ := base64url.DecodeString(pack(make([]byte, 1000)))
	adler := bytes.Clone(good)
	adler[len(adler)-1] ^= 1
	for what, packed := range map[string]string{
		"L19 a bomb":        b64(bomb.Bytes()),
		"L19 another sum":   b64(adler),
		"L19 no sum":        b64(good[:len(good)-4]),
		"cut off":           b64(good[:len(good)/2]),
		"more behind":       b64(append(bytes.Clone(good), 0)),
		"L4 raw deflate":    b64(good[2:]),
		"L4 not compressed": b64(make([]byte, 100)),
		"L4 padding":        "eNrbuRgAAhcBXQ==",
		"nothing":           "",
	} {
		if bits, err := inflate(packed); err == nil {
			t.Errorf("%s: %d bytes", what, len(bits))
		}
	}
	if bits, err := inflate(pack(make([]byte, mostBits))); err != nil || len(bits) != mostBits {
		t.Errorf("the largest: %v", err)
	}
}

func TestL11_WhatWasInvalidStaysSo(t *testing.T) {
	for width, c := range map[int]struct{ was, is, want byte }{
		1: {0b1010_0001, 0b0110_0000, 0b1110_0001},
		2: {0b01_10_00_11, 0b00_00_01_10, 0b01_00_01_10}, // suspended (2) may be valid again
		4: {0x21, 0x02, 0x01},
		8: {0x01, 0x00, 0x01},
	} {
		e := edition{width: width, bits: []byte{c.is}, issued: 10}
		changed, err := e.after(&edition{width: width, bits: []byte{c.was}, issued: 10})
		if e.bits[0] != c.want || err != nil || changed != (c.was != c.want) {
			t.Errorf("%d bits: %b, %v, %v", width, e.bits[0], changed, err)
		}
	}
	old := &edition{width: 1, bits: make([]byte, 8), issued: 10}
	for what, e := range map[string]*edition{
		"older":         {width: 1, bits: make([]byte, 8), issued: 9},
		"smaller":       {width: 1, bits: make([]byte, 7), issued: 11},
		"other of kind": {width: 2, bits: make([]byte, 8), issued: 11},
	} {
		if _, err := e.after(old); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if changed, err := (&edition{width: 1, bits: make([]byte, 9), issued: 10}).after(old); !changed || err != nil {
		t.Errorf("larger: %v, %v", changed, err)
	}
}

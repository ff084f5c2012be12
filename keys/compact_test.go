package keys

import (
	"errors"
	"strings"
	"testing"
)

const (
	goodHeader = `{"alg":"RS256","kid":"k","typ":"at+jwt"}`
	goodClaims = `{"sub":"u"}`
)

func TestCheckCompactReadsTheHeader(t *testing.T) {
	for typ, want := range map[string]string{
		"at+jwt": "at+jwt", "AT+JWT": "at+jwt", "application/at+jwt": "at+jwt", "Application/AT+jwt": "at+jwt", "JWT": "jwt",
	} {
		h, err := CheckCompact(compact(`{"alg":"RS256","kid":"k","typ":"`+typ+`","jku":"https://evil.example","x5c":["AA"]}`, goodClaims, "s"))
		if want := (Header{Alg: "RS256", KeyID: "k", Type: want}); h != want || err != nil {
			t.Errorf("J18 typ %q: got %+v, %v", typ, h, err)
		}
	}
	h, err := CheckCompact(compact(`{"alg":"RS256"}`, goodClaims, "s"))
	if (h != Header{Alg: "RS256"}) || err != nil {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestCheckCompactRefuses(t *testing.T) {
	good := compact(goodHeader, goodClaims, "signature")
	header, claims, signature := encode(goodHeader), encode(goodClaims), encode("signature")
	for name, token := range map[string]string{
		"nothing":                  "",
		"J8 dots":                  "..",
		"J8 two parts":             header + "." + claims,
		"J8 four parts":            good + ".AAAA",
		"J8 five parts, a JWE":     good + ".AAAA.AAAA",
		"J8 trailing dot":          good + ".",
		"J8 empty header":          "." + claims + "." + signature,
		"J8 empty claims":          header + ".." + signature,
		"J9 no signature":          header + "." + claims + ".",
		"J8 padding":               good + "=",
		"J8 newline":               header + "\n." + claims + "." + signature,
		"J8 newline within":        header[:8] + "\r\n" + header[8:] + "." + claims + "." + signature,
		"J8 space before":          " " + good,
		"J8 plain base64":          good[:len(good)-2] + "+/",
		"J8 braces":                goodHeader + "." + claims + "." + signature,
		"J8 quotes":                `"` + good + `"`,
		"J8 NUL":                   good + "\x00",
		"J8 not ASCII":             good + "é",
		"J8 stray bits":            header + "." + claims + ".AB",
		"J8 a length of 1 mod 4":   header + "." + claims + ".AAAAA",
		"too long":                 header + "." + claims + "." + strings.Repeat("A", MaxToken),
		"J11 crit":                 compact(`{"alg":"RS256","crit":["exp"],"exp":1}`, goodClaims, "s"),
		"J11 empty crit":           compact(`{"alg":"RS256","crit":[]}`, goodClaims, "s"),
		"J11 crit null":            compact(`{"alg":"RS256","crit":null}`, goodClaims, "s"),
		"J11 crit of b64":          compact(`{"alg":"RS256","b64":false,"crit":["b64"]}`, goodClaims, "s"),
		"J17 alg twice":            compact(`{"alg":"RS256","alg":"none"}`, goodClaims, "s"),
		"J17 alg twice, escaped":   compact(`{"alg":"RS256","\u0061lg":"none"}`, goodClaims, "s"),
		"J17 alg and ALG":          compact(`{"alg":"RS256","ALG":"none"}`, goodClaims, "s"),
		"J17 claim twice":          compact(goodHeader, `{"sub":"a","x":1,"sub":"b"}`, "s"),
		"J17 claim twice, spaced":  compact(goodHeader, "{\"sub\"\n : \"a\",\t\"sub\" :\"b\"}", "s"),
		"J17 sub and ſub":          compact(goodHeader, `{"sub":"a","ſub":"b"}`, "s"),
		"J17 twice, deep":          compact(goodHeader, `{"a":[{"b":{"c":1,"c":2}}]}`, "s"),
		"J17 twice after a string": compact(goodHeader, `{"a":"\\\"{","b":"}","a":1}`, "s"),
		"header no object":         compact(`["alg"]`, goodClaims, "s"),
		"header null":              compact(`null`, goodClaims, "s"),
		"header not JSON":          compact(`{"alg":"RS256"`, goodClaims, "s"),
		"header and more":          compact(goodHeader+"{}", goodClaims, "s"),
		"header not UTF-8":         compact("{\"alg\":\"RS256\",\"x\":\"\xff\"}", goodClaims, "s"),
		"claims no object":         compact(goodHeader, `"sub"`, "s"),
		"claims a number":          compact(goodHeader, `1`, "s"),
		"claims not UTF-8":         compact(goodHeader, "{\"sub\":\"\xc0\x80\"}", "s"),
		"no alg":                   compact(`{"kid":"k"}`, goodClaims, "s"),
		"empty alg":                compact(`{"alg":""}`, goodClaims, "s"),
		"only ALG":                 compact(`{"ALG":"RS256"}`, goodClaims, "s"),
		"alg null":                 compact(`{"alg":null}`, goodClaims, "s"),
		"alg an array":             compact(`{"alg":["RS256"]}`, goodClaims, "s"),
		"J13 kid a number":         compact(`{"alg":"RS256","kid":7}`, goodClaims, "s"),
		"J13 kid an object":        compact(`{"alg":"RS256","kid":{"$ne":""}}`, goodClaims, "s"),
		"typ a number":             compact(`{"alg":"RS256","typ":1}`, goodClaims, "s"),
	} {
		h, err := CheckCompact(token)
		if !errors.Is(err, ErrMalformed) || h != (Header{}) {
			t.Errorf("%s: got %+v, %v", name, h, err)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
	if _, err := CheckCompact(good); err != nil {
		t.Errorf("the good one, too: %v", err)
	}
}

func TestJ17_EqualNamesOfDifferentObjectsPass(t *testing.T) {
	deep := strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000)
	claims := `{"a":{"x":1,"y":"x"},"b":[{"x":1},{"x":2},"x","x"],"x":{"a":{}},"c":"a\"b\\","d":` + deep + `}`
	if _, err := CheckCompact(compact(goodHeader, claims, "s")); err != nil {
		t.Error(err)
	}
}

package grants

import (
	"strings"
	"testing"
)

func TestX6_UserCodes(t *testing.T) {
	seen, letters := map[string]bool{}, map[rune]int{}
	const n = 2000
	for range n {
		code := newUserCode()
		if len(code) != 8 || seen[code] {
			t.Fatalf("%q", code)
		}
		seen[code] = true
		for _, r := range code {
			letters[r]++
		}
		if read, ok := readUserCode(" " + strings.ToLower(ShowUserCode(code))); !ok || read != code {
			t.Fatalf("%q is read as %q", code, read)
		}
	}
	// Each letter is as likely: 800 of each, give or take six standard deviations.
	for _, r := range userCodeLetters {
		if c := letters[r]; c < 800-166 || c > 800+166 {
			t.Errorf("%c: %d of %d", r, c, 8*n)
		}
	}
	if len(letters) != 20 {
		t.Errorf("%v", letters)
	}
}

package passwords

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The rules of this file (SP 800-63B-4: commonly used, expected, context
// words). Each character that belongs to a guessable piece is marked. Pieces:
//
//   - common words, also with the usual swaps (p@ssw0rd);
//   - the name of the user and words of the service;
//   - neighbours on a keyboard or in the alphabet, four or more, either way;
//   - a unit of up to five characters, three times or more in a row;
//   - digits, up to 19 in a row (dates, phone and card numbers), and up to
//     three marks or spaces in a row, which join the other pieces.
//
// A password of such pieces alone is refused, and so is one that has too few
// characters of its own beside words, names, runs and repeats.

//go:embed common.txt
var commonText string

var common = newWords(strings.Fields(commonText))

const (
	shortestWord = 3
	leastOwn     = 6
	leastRun     = 4
	longestUnit  = 5
	longestDigit = 19
	longestMarks = 3
)

// runs are the rows and columns of common keyboards and the alphabet. A run
// may be walked either way.
var runs = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890",
	"qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiopü", "asdfghjklöä", "yxcvbnm",
	"azertyuiop", "qsdfghjklm", "wxcvbn", "!@#$%^&*()", "!\"§$%&/()=",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;", "qazwsxedcrfvtgbyhnujmikolp",
	"йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю",
}

// swaps undo the usual replacements of letters.
var swaps = map[rune]rune{'@': 'a', '4': 'a', '8': 'b', '3': 'e', '6': 'g', '9': 'g', '!': 'i', '1': 'i', '|': 'i', '0': 'o', '$': 's', '5': 's', '7': 't', '+': 't', '2': 'z'}

// guessable says why a password would be among the first guesses, or nothing.
func guessable(password, username string, service []string) string {
	text := []rune(strings.ToLower(password))
	weak := make([]bool, len(text)) // part of a word, a name, a run or a repeat
	markWords(text, weak, common)
	markWords(text, weak, contextWords(append([]string{username}, service...)))
	markRuns(text, weak)
	markRepeats(text, weak)

	joint := make([]bool, len(text)) // digits and marks between them
	markKind(text, joint, unicode.IsDigit, longestDigit)
	markKind(text, joint, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }, longestMarks)

	own, letters, anyWeak := 0, 0, false
	for i, r := range text {
		anyWeak = anyWeak || weak[i]
		switch {
		case weak[i]:
		case !joint[i]:
			own++
			letters++
		case unicode.IsDigit(r):
			own++
		}
	}
	switch {
	case len(text) == 0:
		return ""
	case letters == 0:
		return "easy to guess: it is made of nothing but common words, names, numbers, repeats or neighbouring keys"
	case anyWeak && own < leastOwn:
		return fmt.Sprintf("easy to guess: beside common words, names, repeats and neighbouring keys only %d of at least %d characters are its own", own, leastOwn)
	}
	return ""
}

// markWords marks each place where a word of the set stands, as written or
// with swapped letters. '1' is swapped for i and for l.
func markWords(text []rune, marked []bool, w words) {
	swapped, other := make([]rune, len(text)), make([]rune, len(text))
	for i, r := range text {
		swapped[i], other[i] = r, r
		if s, ok := swaps[r]; ok {
			swapped[i], other[i] = s, s
		}
		if r == '1' || r == '|' || r == '!' {
			other[i] = 'l'
		}
	}
	for i := range text {
		for _, n := range w.lengths {
			if i+n > len(text) {
				break
			}
			if w.set[string(text[i:i+n])] || w.set[string(swapped[i:i+n])] || w.set[string(other[i:i+n])] {
				mark(marked, i, i+n)
			}
		}
	}
}

func markRuns(text []rune, marked []bool) {
	for _, run := range runs {
		keys := []rune(run)
		place := make(map[rune]int, len(keys))
		for i, r := range keys {
			place[r] = i // of the two zeros the one after 9
		}
		for _, step := range []int{1, -1} {
			for i := 0; i < len(text); {
				end := i + 1
				for end < len(text) && next(keys, place, text[end-1], text[end], step) {
					end++
				}
				if end-i >= leastRun {
					mark(marked, i, end)
				}
				i = end
			}
		}
	}
}

// next reports whether b follows a on the run.
func next(keys []rune, place map[rune]int, a, b rune, step int) bool {
	at, ok := place[a]
	if !ok {
		return false
	}
	if a == '0' && keys[0] == '0' && step == 1 {
		at = 0
	}
	at += step
	return at >= 0 && at < len(keys) && keys[at] == b
}

func markRepeats(text []rune, marked []bool) {
	for unit := 1; unit <= longestUnit; unit++ {
		for i := 0; i+unit < len(text); {
			end := i + unit
			for end < len(text) && text[end] == text[end-unit] {
				end++
			}
			if end-i >= 3*unit {
				mark(marked, i, end)
			}
			// A longer unit may begin within the last one compared.
			i = max(i+1, end-unit+1)
		}
	}
}

// markKind marks runs of one kind of character, unless they are so long that
// they can be a secret of their own.
func markKind(text []rune, marked []bool, kind func(rune) bool, longest int) {
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && kind(text[end]) {
			end++
		}
		if end-i <= longest {
			mark(marked, i, end)
		}
		i = end + 1
	}
}

func mark(marked []bool, from, to int) {
	for i := from; i < to; i++ {
		marked[i] = true
	}
}

// contextWords are the names and their parts: of "alice@example.org" alice and
// example too.
func contextWords(names []string) words {
	var list []string
	for _, name := range names {
		name = strings.ToLower(name)
		parts := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, word := range append(parts, name) {
			if utf8.RuneCountInString(word) >= shortestWord {
				list = append(list, word)
			}
		}
	}
	return newWords(list)
}

// words is a set of words and the lengths that occur in it, ascending.
type words struct {
	set     map[string]bool
	lengths []int
}

func newWords(list []string) words {
	w := words{set: make(map[string]bool, len(list))}
	for _, word := range list {
		w.set[word] = true
		w.lengths = append(w.lengths, utf8.RuneCountInString(word))
	}
	slices.Sort(w.lengths)
	w.lengths = slices.Compact(w.lengths)
	return w
}

package main

import "testing"

func TestWhatWouldEndIsSaidNoBetterThanItIsKnown(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ends":"nothing"}`: "nothing",
		`{"ends":"sessions","sessions":1,"users":1,"clients":2,"access_tokens":0}`:                  "1 live session of 1 user through 2 clients, with 0 live access tokens",
		`{"ends":"sessions","sessions":7,"users":1,"clients":2,"access_tokens":0,"more":true}`:      "at least 7 live sessions of at least 1 user through at least 2 clients, with an unknown number of live access tokens",
		`{"ends":"access_tokens","sessions":0,"users":0,"clients":0,"access_tokens":0,"more":true}`: "an unknown number of live access tokens of an unknown number of live sessions; the sessions go on",
	} {
		if got, err := endsInWords([]byte(answer)); err != nil || got != want {
			t.Errorf("%s: %q, %v", answer, got, err)
		}
	}
}

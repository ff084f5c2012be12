package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver STATUS [BODY] starts a program that is told of events, at $RECEIVER.
func receiverCmd(ts *testscript.TestScript, neg bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if len(args) > 1 {
			io.WriteString(w, args[1])
		}
	}))
	ts.Defer(s.Close)
	ts.Setenv("RECEIVER", s.URL)
}

// deadletters NAME N waits until a webhook has so many.
func deadLettersCmd(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("jeton", "webhook", "list", "--json"))
		var all []struct {
			Name    string `json:"name"`
			Dead    int    `json:"dead_letters"`
			Pending int    `json:"pending"`
		}
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &all))
		for _, w := range all {
			if w.Name == args[0] && strconv.Itoa(w.Dead) == args[1] && w.Pending == 0 {
				return
			}
		}
	}
	ts.Fatalf("%s has not %s dead letters", args[0], args[1])
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// mostSecret is the most bytes of a password or client secret: more than any
// rule allows, so that the rule and not this bound gives the reason.
const mostSecret = 64 << 10

// readSecret reads a secret from standard input. It never comes from a flag,
// which every user of the machine could read in the list of processes.
func readSecret(in io.Reader, prompt io.Writer, what string) (string, error) {
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		fmt.Fprintf(prompt, "%s (shown as you type; end with Enter and Ctrl-D): ", what)
	}
	b, err := io.ReadAll(io.LimitReader(in, mostSecret+3))
	if err != nil {
		return "", fmt.Errorf("cannot read the %s from standard input: %w", what, err)
	}
	secret, err := oneSecret(b)
	if err != nil {
		return "", &usageError{fmt.Sprintf("the %s on standard input cannot be used: %v", what, err)}
	}
	return secret, nil
}

// oneSecret is the text without the one newline that editors and echo add.
func oneSecret(b []byte) (string, error) {
	if line, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		b = bytes.TrimSuffix(line, []byte("\r"))
	}
	switch {
	case len(b) == 0:
		return "", errors.New("it is empty")
	case len(b) > mostSecret:
		return "", fmt.Errorf("it is longer than %d bytes", mostSecret)
	}
	return string(b), nil
}

// readJWKS reads a client's public keys: a JSON object from a file.
func readJWKS(name string) (json.RawMessage, error) {
	b, err := readLimited(name, 256<<10)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key set: %w", err)
	}
	b = bytes.TrimSpace(b)
	if !json.Valid(b) || !strings.HasPrefix(string(b), "{") {
		return nil, fmt.Errorf("%s is not a JSON Web Key Set: it has to hold one object {\"keys\": […]}", name)
	}
	return b, nil
}

// isTerminal reports whether a person types into the file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"jeton/keys"
)

// fill puts sessions into the store that is there, for whoever tries one that is
// large: it prints the refresh token of each, as its login would have. The store
// has to have the clients that [clientOf] tells, and the master key stands in the
// environment.
func fill() error {
	count, err := strconv.Atoi(*sessions)
	if err != nil || *storeURL == "" {
		return errors.New("fill needs -store and -sessions, a number")
	}
	master, err := keys.LoadMaster(os.Getenv("JETON_MASTER_KEY_FILE"), os.Getenv("JETON_MASTER_KEY"))
	if err != nil {
		return err
	}
	p := &place{setup: setup{keys.ES256, count}, store: *storeURL}
	if err := p.seed(context.Background(), master); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for i := range count {
		token, err := p.refreshToken(i)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, token)
	}
	return out.Flush()
}

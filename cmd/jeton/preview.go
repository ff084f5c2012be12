package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// dryRun adds the flag by which an act is looked at and not done.
func dryRun(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("dry-run", false, "say what would end, and do nothing")
}

// preview tells what an act would end. It goes to an address of its own, so that
// a server which does not know it cannot take it for the act.
func (a *app) preview(cmd *cobra.Command, act string, about map[string]any) error {
	body := map[string]any{"act": act}
	for name, value := range about {
		body[name] = value
	}
	return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
		ends, err := way.do(ctx, http.MethodPost, "/preview", body)
		if err != nil {
			return err
		}
		words, err := endsInWords(ends)
		if err != nil {
			return err
		}
		return out.act(ends, "nothing was done; this would end %s", words)
	})
}

func endsInWords(answer json.RawMessage) (string, error) {
	var p struct {
		Ends     string
		Sessions int
		Users    int
		Clients  int
		Tokens   int `json:"access_tokens"`
		More     bool
	}
	if err := json.Unmarshal(answer, &p); err != nil {
		return "", fmt.Errorf("the server's answer cannot be read, is it of another version? %w", err)
	}
	some := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		switch {
		case p.More && n == 0:
			return "an unknown number of " + unit
		case p.More:
			return fmt.Sprintf("at least %d %s", n, unit)
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	switch p.Ends {
	case "nothing":
		return "nothing", nil
	case "access_tokens":
		return some(p.Tokens, "live access token") + " of " + some(p.Sessions, "live session") + "; the sessions go on", nil
	}
	return some(p.Sessions, "live session") + " of " + some(p.Users, "user") + " through " + some(p.Clients, "client") +
		", with " + some(p.Tokens, "live access token"), nil
}

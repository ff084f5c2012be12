package main

import "github.com/spf13/cobra"

// reasonFlag adds the flag that says why, for acts that can do without.
func reasonFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("reason", "", "why, for the audit log")
}

// because puts the reason into what is sent, nil where there is nothing to send: a
// server of before does not know it.
func because(why string, body map[string]any) any {
	switch {
	case why == "" && body == nil:
		return nil
	case why == "":
		return body
	case body == nil:
		body = make(map[string]any)
	}
	body["reason"] = why
	return body
}

package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"

	"jeton/storage"
)

// clientColumns are shown in a table of clients.
var clientColumns = []string{"client_id", "grant_types", "scope", "public", "disabled", "registered_by", "created_at"}

// clientCommand administers the programs that ask for tokens.
func (a *app) clientCommand() *cobra.Command {
	return group(&cobra.Command{Use: "client", Short: "Add, change and remove the programs that ask for tokens"},
		a.clientAdd(), a.clientSet(), a.clientList(), a.clientShow(), a.clientSecret(),
		a.clientState("disable", "Refuse a client all tokens and end all its sessions", "client %s is disabled and all its sessions have ended"),
		a.clientState("enable", "Let a disabled client ask for tokens again", "client %s is enabled"),
		a.clientDelete(), a.clientImport(), a.registrationTokenCommand())
}

func clientPath(id string) string { return "/clients/" + segment(id) }

// showSecret tells the client's secret, which nobody can ask for again, and what is
// to be seen to.
func showSecret(out *output, client json.RawMessage, sentence, id string) error {
	told := []any{id}
	if secret := pick(client, "client_secret"); secret != "" {
		sentence += "\n\n  client_secret  %s\n\nThe secret is shown this once: put it now where %s will read it."
		told = append(told, secret, id)
	}
	if same := pick(client, "same_cookies"); same != "" {
		sentence += "\n\nAt one host, its cookies have the names of those of: %s" +
			"\nWho logs in to one loses those of the other. Give each names of its own: jeton client set %s --cookie-name NAME"
		told = append(told, same, id)
	}
	return out.act(client, sentence, told...)
}

func (a *app) clientAdd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "add ID --grant G... [--scope S...] [--public | --secret-stdin | --jwks FILE | --jwks-uri URL]",
		Short: "Add a client; without --public, --secret-stdin, --jwks and --jwks-uri a secret is made and shown once",
		Example: "  jeton client add web --grant password,refresh_token --scope read,write --public\n" +
			"  jeton client add reports --grant client_credentials --scope read",
		Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.grants) == 0 {
				return usagef("say what the client may ask for: --grant password,refresh_token or --grant client_credentials")
			}
			body, err := f.body(cmd)
			if err != nil {
				return err
			}
			body["client_id"] = args[0]
			if f.secretStdin {
				if body["client_secret"], err = readSecret(a.stdin, a.stderr, "client secret"); err != nil {
					return err
				}
			}
			return a.with(cmd, true, func(ctx context.Context, way *api, out *output) error {
				client, err := way.do(ctx, http.MethodPost, "/clients", body)
				if err != nil {
					return err
				}
				return showSecret(out, client, "client %s was added", args[0])
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.secretStdin, "secret-stdin", false, "read the secret (32 characters or more) from standard input")
	return cmd
}

func (a *app) clientSet() *cobra.Command {
	var f clientFlags
	var dry *bool
	var why *string
	cmd := &cobra.Command{
		Use:     "set ID --FLAG VALUE...",
		Short:   "Change what is named and leave the rest; an empty value clears",
		Example: "  jeton client set web --scope read --refresh-retry-window 10s\n  jeton client set web --audience ''",
		Args:    exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := f.body(cmd)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return usagef("say what to change, such as --scope read; see %s --help", cmd.CommandPath())
			}
			if *dry {
				return a.preview(cmd, "set_client", map[string]any{"client_id": args[0], "settings": body})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				client, err := way.do(ctx, http.MethodPatch, clientPath(args[0]), because(*why, body))
				if err != nil {
					return err
				}
				return showSecret(out, client, "client %s was changed", args[0])
			})
		},
	}
	f.register(cmd)
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}

func (a *app) clientList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all clients",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: clientColumns}
				if err := way.list(ctx, "/clients", pageSize(), l.page); err != nil {
					return err
				}
				return l.end("there are no clients yet: jeton client add ID --grant password,refresh_token --scope read")
			})
		},
	}
}

func (a *app) clientShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a client",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				client, err := way.do(ctx, http.MethodGet, clientPath(args[0]), nil)
				if err != nil {
					return err
				}
				return out.show(client)
			})
		},
	}
}

func (a *app) clientSecret() *cobra.Command {
	var fromStdin, endFormer bool
	var dry *bool
	var why *string
	var keep storage.Duration
	cmd := &cobra.Command{
		Use:     "secret ID [--secret-stdin] [--keep-former D | --end-former]",
		Short:   "Replace the secret of a client; the old one stops working, at once or after a while",
		Example: "  jeton client secret reports --keep-former 7d\n  jeton client secret reports --end-former",
		Args:    exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if endFormer {
				if fromStdin || *dry || cmd.Flags().Changed("keep-former") {
					return usagef("--end-former stands alone: it makes no new secret and ends no session")
				}
				return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
					client, err := way.do(ctx, http.MethodDelete, clientPath(args[0])+"/former-secret", because(*why, nil))
					if err != nil {
						return err
					}
					return out.act(client, "client %s has one secret, the latest", args[0])
				})
			}
			if *dry {
				return a.preview(cmd, "set_secret", map[string]any{"client_id": args[0]})
			}
			body := map[string]any{}
			if cmd.Flags().Changed("keep-former") {
				body["keep_former_for"] = keep.String()
			}
			if fromStdin {
				secret, err := readSecret(a.stdin, a.stderr, "client secret")
				if err != nil {
					return err
				}
				body["client_secret"] = secret
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				client, err := way.do(ctx, http.MethodPost, clientPath(args[0])+"/secret", because(*why, body))
				if err != nil {
					return err
				}
				return showSecret(out, client, "client %s has a new secret", args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "secret-stdin", false, "read the secret (32 characters or more) from standard input")
	cmd.Flags().Var(&keep, "keep-former", "let the old secret work beside the new one for so long, up to 90d (default: --client-secret-overlap of the server)")
	cmd.Flags().Lookup("keep-former").DefValue = ""
	cmd.Flags().BoolVar(&endFormer, "end-former", false, "make no new secret, and have the former one stop working now")
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}

func (a *app) clientState(verb, short, done string) *cobra.Command {
	dry := new(bool)
	var why *string
	cmd := &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *dry {
				return a.preview(cmd, verb, map[string]any{"client_id": args[0]})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				client, err := way.do(ctx, http.MethodPost, clientPath(args[0])+"/"+verb, because(*why, map[string]any{}))
				if err != nil {
					return err
				}
				return out.act(client, done, args[0])
			})
		},
	}
	if verb == "disable" {
		dry = dryRun(cmd)
	}
	why = reasonFlag(cmd)
	return cmd
}

func (a *app) clientDelete() *cobra.Command {
	var dry *bool
	var why *string
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "End all sessions of a client and remove it",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *dry {
				return a.preview(cmd, "delete", map[string]any{"client_id": args[0]})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				if _, err := way.do(ctx, http.MethodDelete, clientPath(args[0]), because(*why, nil)); err != nil {
					return err
				}
				return out.act(map[string]any{"client_id": args[0], "deleted": true}, "client %s was deleted and all its sessions have ended", args[0])
			})
		},
	}
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}

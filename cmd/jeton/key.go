package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"jeton/keys"
)

// keyColumns are shown in a table of keys.
var keyColumns = []string{"kid", "use", "alg", "state", "created_at", "activates_at", "removes_at"}

// keyCommand administers the key ring.
func (a *app) keyCommand() *cobra.Command {
	return group(&cobra.Command{Use: "key", Short: "Show the keys that sign tokens, rotate, import and remove them"},
		a.keyList(), a.keyRotate(), a.keyImport(), a.keyRemove(), a.keyRewrap())
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the key ring",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: keyColumns}
				if err := way.list(ctx, "/keys", nil, l.page); err != nil {
					return err
				}
				return l.end("there are no keys")
			})
		},
	}
}

func (a *app) keyRotate() *cobra.Command {
	var now bool
	var why *string
	cmd := &cobra.Command{
		Use:   "rotate [--now]",
		Short: "Let the next key sign once every API can know it; --now when the current one has leaked",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				key, err := way.do(ctx, http.MethodPost, "/keys/rotate", because(*why, map[string]any{"now": now}))
				if err != nil {
					return err
				}
				when := pick(key, "activates_at")
				if when == "" || when == "-" || pick(key, "state") == "current" {
					return out.act(key, "key %s signs from now on; APIs that cached the key set learn of it within 5 minutes", pick(key, "kid"))
				}
				if pick(key, "gated") == "true" {
					return out.act(key, "key %s signs once all verifiers that are known to fetch the key set have fetched it, and from %s on in any case; the server's log names whom it waits for", pick(key, "kid"), when)
				}
				return out.act(key, "key %s signs from %s on", pick(key, "kid"), when)
			})
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "sign with it at once, though APIs may not know it yet")
	why = reasonFlag(cmd)
	return cmd
}

// mostKeyFile is the most bytes of a file with a private key.
const mostKeyFile = 32 << 10

func (a *app) keyImport() *cobra.Command {
	return &cobra.Command{
		Use:     "import FILE",
		Short:   "Make a private key (PEM) the next one that signs, in place of the one that waits",
		Example: "  openssl pkey -in encrypted.pem | jeton key import -",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.keyFile(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				key, err := way.do(ctx, http.MethodPost, "/keys/import", map[string]any{"pem": string(text)})
				if err != nil {
					return err
				}
				return out.act(key, "key %s is next; it signs after jeton key rotate", pick(key, "kid"))
			})
		},
	}
}

// keyFile reads a private key, from standard input for -.
func (a *app) keyFile(name string) ([]byte, error) {
	if name != "-" {
		text, err := readLimited(name, mostKeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the key: %w", err)
		}
		return text, nil
	}
	text, err := io.ReadAll(io.LimitReader(a.stdin, mostKeyFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key from standard input: %w", err)
	}
	return text, nil
}

func (a *app) keyRemove() *cobra.Command {
	var why *string
	cmd := &cobra.Command{
		Use:   "remove KID",
		Short: "Take a key that others may have out of the ring at once, and with it all it signed",
		Args:  exactly("KID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				key, err := way.do(ctx, http.MethodDelete, "/keys/"+segment(args[0]), because(*why, nil))
				if err != nil {
					return err
				}
				return out.act(key, "key %s was removed and key %s signs; %s", args[0], pick(key, "signing_kid"), afterRemoval(pick(key, "use")))
			})
		},
	}
	why = reasonFlag(cmd)
	return cmd
}

// afterRemoval is what follows from the removal of a key of a use. Only we read
// refresh tokens, so that nothing of theirs is believed for longer; but no
// session is visited.
func afterRemoval(use string) string {
	if use == keys.UseRefresh {
		return "sessions whose refresh token is under it cannot be refreshed any more, their access tokens live out; to end them now: jeton session revoke --all --reason \"a refresh key leaked\""
	}
	return "APIs that cached the key set believe it for up to 5 minutes more"
}

func (a *app) keyRewrap() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "rewrap --new-master-key-file FILE",
		Short:   "Seal all keys and sessions under a new master key; run it again if it was cut off",
		Example: "  (umask 077; openssl rand -base64 32 > new.key)\n  jeton key rewrap --new-master-key-file new.key",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("name the file with the new master key: %s", cmd.UseLine())
			}
			text, err := readLimited(file, 1024)
			if err != nil {
				return fmt.Errorf("cannot read the new master key: %w", err)
			}
			if _, err := keys.ParseMaster(string(text)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				done, err := way.do(ctx, http.MethodPost, "/keys/rewrap", map[string]any{"master_key": string(text)})
				if err != nil {
					return err
				}
				return out.act(done, "all is sealed under the new master key (%s sessions); put it where servers and commands look for it now: they do not start with the old one", pick(done, "sessions"))
			})
		},
	}
	cmd.Flags().StringVar(&file, "new-master-key-file", "", "a file with base64 of 32 bytes")
	return cmd
}

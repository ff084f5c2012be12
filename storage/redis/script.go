package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed rows.lua
var rowsLua string

//go:embed commit.lua
var commitLua string

//go:embed settle.lua
var settleLua string

//go:embed read.lua
var readLua string

//go:embed list.lua
var listLua string

//go:embed sweep.lua
var sweepLua string

//go:embed heal.lua
var healLua string

//go:embed whole.lua
var wholeLua string

//go:embed begin.lua
var beginLua string

//go:embed take.lua
var takeLua string

var (
	commitScript = newScript(rowsLua + commitLua)
	settleScript = newScript(rowsLua + settleLua)
	readScript   = newScript(rowsLua + readLua)
	listScript   = newScript(rowsLua + listLua)
	sweepScript  = newScript(rowsLua + sweepLua)
	healScript   = newScript(healLua)
	wholeScript  = newScript(rowsLua + wholeLua)
	beginScript  = newScript(beginLua)
	takeScript   = newScript(takeLua)
)

// script is a text that Redis knows by its SHA-1 once it has run it.
type script struct{ body, text, hash string }

func newScript(body string) *script { return lasting(body, 0) }

// lasting is a script for a store whose keys stand for so long, 0 for ever.
func lasting(body string, life time.Duration) *script {
	text := fmt.Sprintf("local life = %d\n%s", life.Milliseconds(), body)
	return &script{body, text, fmt.Sprintf("%x", sha1.Sum([]byte(text)))}
}

// own is the script as this store runs it.
func (s *Store) own(of *script) *script {
	if s.o.Life == 0 {
		return of
	}
	own, ok := s.scripts.Load(of)
	if !ok {
		own, _ = s.scripts.LoadOrStore(of, lasting(of.body, s.o.Life))
	}
	return own.(*script)
}

// call is one run of a script.
type call struct {
	script *script
	keys   []string
	args   []any
	// replicas must have it before it is confirmed, within so long.
	replicas int
	within   time.Duration
	// once: it must not be sent again after it may have arrived.
	once bool
}

// reply is what a script returned.
type reply struct {
	value    []any
	replicas int64
}

// run runs a script on the node that has its keys, and tries again while Redis
// is moving, starting or failing over, as long as that does no harm and ctx
// lasts.
func (s *Store) run(ctx context.Context, c call) (reply, error) {
	c.script = s.own(c.script)
	pause := 5 * time.Millisecond
	for {
		r, err := s.runOnce(ctx, c)
		if err == nil || !passing(err) && (c.once || answered(err)) || errors.Is(err, redis.ErrClosed) {
			return r, err
		}
		if wait(ctx, pause) != nil {
			return r, err
		}
		if cluster, ok := s.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx)
		}
		pause = min(2*pause, 200*time.Millisecond)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if at, ok := ctx.Deadline(); ok && time.Until(at) < d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runOnce runs a script, following a redirection of the cluster.
func (s *Store) runOnce(ctx context.Context, c call) (reply, error) {
	node, err := s.node(ctx, c.keys[0])
	if err != nil {
		return reply{}, notSent{err}
	}
	r, err := send(ctx, node, c, false)
	if to, asking, ok := redirection(err); ok {
		if node = s.nodeAt(ctx, to); node == nil {
			return r, err
		}
		return send(ctx, node, c, asking)
	}
	return r, err
}

// send puts a script, and the wait for its replicas, on one connection.
func send(ctx context.Context, node *redis.Client, c call, asking bool) (reply, error) {
	r, err := sendAs(ctx, node, c, asking, "evalsha", c.script.hash)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		// The whole text: it did not run, whatever else of the pipeline did.
		return sendAs(ctx, node, c, asking, "eval", c.script.text)
	}
	return r, err
}

func sendAs(ctx context.Context, node *redis.Client, c call, asking bool, command, script string) (reply, error) {
	args := make([]any, 0, 3+len(c.keys)+len(c.args))
	args = append(args, command, script, len(c.keys))
	for _, k := range c.keys {
		args = append(args, k)
	}
	args = append(args, c.args...)
	if !asking && c.replicas == 0 {
		v, err := node.Do(ctx, args...).Slice()
		return reply{value: v}, err
	}
	pipe := node.Pipeline()
	if asking {
		pipe.Do(ctx, "asking")
	}
	ran := pipe.Do(ctx, args...)
	var waited *redis.Cmd
	if c.replicas > 0 {
		waited = pipe.Do(ctx, "wait", c.replicas, max(1, c.within.Milliseconds()))
	}
	_, _ = pipe.Exec(ctx) // each command has its own outcome
	v, err := ran.Slice()
	if err != nil || waited == nil {
		return reply{value: v}, err
	}
	n, _ := waited.Int64() // an error is nobody having confirmed
	return reply{value: v, replicas: n}, nil
}

// node is the master that has a key.
func (s *Store) node(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, fmt.Errorf("the client library gave a %T", s.client)
}

// nodeAt is the master at an address, nil if none is known there.
func (s *Store) nodeAt(ctx context.Context, address string) (found *redis.Client) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	nodes := make(chan *redis.Client, 1)
	err := cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		if node.Options().Addr == address {
			select {
			case nodes <- node:
			default:
			}
		}
		return nil
	})
	select {
	case found = <-nodes:
	default:
	}
	_ = err // one that is not known is asked for again, after the map of the cluster was read anew
	return found
}

// redirection reads MOVED and ASK.
func redirection(err error) (address string, asking, ok bool) {
	for _, kind := range []string{"MOVED ", "ASK "} {
		if redis.HasErrorPrefix(err, kind) {
			words := strings.Fields(err.Error())
			return words[len(words)-1], kind == "ASK ", true
		}
	}
	return "", false, false
}

// notSent is an error that came before anything was sent.
type notSent struct{ error }

func (n notSent) Unwrap() error { return n.error }

// passingErrors are those of a Redis that is moving, starting or failing over.
// All are given before a script runs, or by a look before its first write.
var passingErrors = []string{
	"MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY ",
	"Script attempted to access a non local key", "max number of clients reached",
}

// passing reports whether nothing has happened yet, and something else may come
// of the next try.
func passing(err error) bool {
	for _, p := range passingErrors {
		if redis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return unsent(err)
}

// answered reports whether Redis itself refused. Scripts fail before they write.
func answered(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// unsent reports whether the command was certainly not sent.
func unsent(err error) bool {
	var dial *net.OpError
	var before notSent
	return errors.As(err, &before) || errors.As(err, &dial) && dial.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted)
}

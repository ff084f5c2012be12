package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"jeton/storage"
	"jeton/storage/redis"
)

// onRedis reports whether the store is a Redis.
func (s *Settings) onRedis() bool { return isRedis(s.Store.String()) }

func isRedis(store string) bool {
	return slices.ContainsFunc(redis.Schemes, func(scheme string) bool { return strings.HasPrefix(store, scheme) })
}

// checkRedis reports what is wrong with the settings of a Redis.
func (s *Settings) checkRedis(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	at, err := redis.ParseURL(s.Store.String())
	if err != nil {
		add("store", "%v", err)
		return
	}
	if s.RedisCAFile != "" && !at.TLS {
		add("redis-ca-file", "the connection does not use TLS: write rediss:// in --store, or leave this out")
	}
	if s.RedisSentinelPasswordFile != "" && at.Master == "" {
		add("redis-sentinel-password-file", "--store names no Sentinels: write redis+sentinel://, or leave this out")
	}
	if s.RedisWaitReplicas > 100 {
		add("redis-wait-replicas", "%d is more than there can be: count the replicas of each master", s.RedisWaitReplicas)
	}
	if _, err := s.redisOptions(); err != nil {
		wrong.add(s.source("store"), "%v", err)
	}
}

// redisOptions is the Redis that the settings name.
func (s *Settings) redisOptions() (o redis.Options, err error) {
	if o.Address, err = redis.ParseURL(s.Store.String()); err != nil {
		return o, err
	}
	o.Waiting = s.waiting
	o.Prefix, o.WaitReplicas, o.AllowEviction = s.RedisPrefix.String(), int(s.RedisWaitReplicas), bool(s.RedisAllowEviction)
	if o.Password, err = passwordOf(s.RedisPasswordFile); err != nil {
		return o, err
	}
	if o.SentinelPassword, err = passwordOf(s.RedisSentinelPasswordFile); err != nil {
		return o, err
	}
	if s.RedisCAFile != "" {
		pem, err := readLimited(s.RedisCAFile.String(), mostConfig)
		if err != nil {
			return o, fmt.Errorf("the certificates of --redis-ca-file cannot be read: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("%s holds no certificate (PEM)", s.RedisCAFile)
		}
	}
	return o, nil
}

// mostPassword bounds the file of a password.
const mostPassword = 4096

// passwordOf reads a password from its file for each new connection, so that it
// can be changed while the server runs.
func passwordOf(file path) (func() (string, error), error) {
	if file == "" {
		return nil, nil
	}
	read := func() (string, error) {
		b, err := readLimited(file.String(), mostPassword)
		if err != nil {
			return "", fmt.Errorf("the password file of Redis cannot be read: %w", err)
		}
		password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		if password == "" {
			return "", fmt.Errorf("the password file %s is empty", file)
		}
		return password, nil
	}
	_, err := read()
	return read, err
}

// openRedisNode is openNode on a Redis. create lets it begin a new store.
func openRedisNode(ctx context.Context, s *Settings, issuer string, log *slog.Logger, create bool) (*node, error) {
	o, err := s.redisOptions()
	if err != nil {
		return nil, err
	}
	o.Log, o.Existing = log, !create
	backend, err := redis.Open(ctx, o)
	shown := redis.Redact(s.Store.String())
	switch {
	case errors.Is(err, redis.ErrNoStore):
		return nil, &awayError{fmt.Sprintf("there is no store at %s with the prefix %s: begin one with jeton serve, or name yours with --store", shown, o.Prefix), nil}
	case errors.Is(err, redis.ErrNotInUse): // it answers very well
		return nil, &awayError{"the store " + shown + " is not in use", err}
	case errors.Is(err, storage.ErrUnavailable):
		return nil, &awayError{"the store " + shown + " is out of reach", err}
	case err != nil:
		return nil, fmt.Errorf("the store %s cannot be opened and was left as it is: %w", shown, err)
	}
	n := &node{log: log, store: storage.New(backend)}
	if err := n.build(ctx, s, issuer); err != nil {
		n.close()
		return nil, err
	}
	backend.OnLost(n.places.Forget)
	if backend.Fresh() {
		log.Info("began a new store", "store", shown)
	}
	return n, nil
}

// tellWaiting has the log told that the start waits for Redis. Commands do not
// ask for that: all they write is their answer.
func (s *Settings) tellWaiting(log *slog.Logger) {
	s.waiting = func(cause error) {
		log.Warn("Redis does not answer: the start tries on for some seconds, and ends if that does not help; see that Redis runs and start again",
			"store", redis.Redact(s.Store.String()), "cause", plainWords(cause))
	}
}

// begun reports whether the store is there already.
func (s *Settings) begun(ctx context.Context) (bool, error) {
	if !s.onRedis() {
		file, err := sqliteFile(s.Store.String())
		return storeIdentity(file) != "", err
	}
	o, err := s.redisOptions()
	if err != nil {
		return false, err
	}
	o.Existing = true
	backend, err := redis.Open(ctx, o)
	switch {
	case errors.Is(err, redis.ErrNoStore):
		return false, nil
	case err != nil: // whoever opens it for good says why
		return true, nil
	}
	return true, backend.Close()
}

// identity is by which commands and server know that they mean the same store,
// however it is written; empty while there is none.
func (s *Settings) identity() (string, error) {
	if !s.onRedis() {
		file, err := sqliteFile(s.Store.String())
		return storeIdentity(file), err
	}
	at, err := redis.ParseURL(s.Store.String())
	slices.Sort(at.Hosts)
	return fmt.Sprintf("%s/%s/%d/%s", strings.Join(at.Hosts, ","), at.Master, at.Database, cmp.Or(s.RedisPrefix.String(), "jeton")), err
}

// missingSharedKey says what to do: a store that several machines share is
// given its master key, for each of them would make another.
// Where there is a store already another key than its own opens nothing.
func missingSharedKey(file string, empty bool) error {
	if !empty {
		return fmt.Errorf("the master key of this store is missing, by which it was sealed: give the same one as the other servers of the store have with --master-key-file or JETON_MASTER_KEY, "+
			"or put it back from where you keep it safe; a new one opens nothing. There is none at %s either, and nothing was changed", file)
	}
	return fmt.Errorf("a store on Redis is shared, so no master key is made for it: (umask 077; openssl rand -base64 32 > %s) once, keep a copy, and give the same file to all servers with --master-key-file", file)
}

// makeDataDir makes the directory that a store on Redis has for socket and keys.
func (s *Settings) makeDataDir() error {
	if !s.onRedis() || s.AdminSocket != "" {
		return nil
	}
	if err := os.MkdirAll(s.dataDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the directory of the admin socket cannot be made, choose another place with --admin-socket: %w", err)
	}
	return nil
}

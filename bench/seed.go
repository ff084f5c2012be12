package main

import (
	"context"
	"strings"
	"time"

	"jeton/bench/seeded"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// openStore opens the store beside the server.
func (p *place) openStore(ctx context.Context) (*storage.Store, error) {
	if file, ok := strings.CutPrefix(p.url(), "sqlite:"); ok {
		backend, err := sqlite.Open(ctx, sqlite.Options{Path: file})
		if err != nil {
			return nil, err
		}
		return storage.New(backend), nil
	}
	at, err := redis.ParseURL(p.url())
	if err != nil {
		return nil, err
	}
	backend, err := redis.Open(ctx, redis.Options{Address: at})
	if err != nil {
		return nil, err
	}
	return storage.New(backend), nil
}

// seed fills the store with sessions.
func (p *place) seed(ctx context.Context, master *keys.MasterKey) error {
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if p.ring, err = keys.Open(ctx, store, master, keys.Config{Alg: p.alg}); err != nil {
		return err
	}
	p.ring.Close() // it signs on, in memory
	p.seeded = &seeded.Sessions{Count: p.sessions, Clients: []string{clientApp, clientFast}, Issuer: issuer, Master: master, Ring: p.ring}
	before, begun := p.size(), time.Now()
	if err := p.seeded.Fill(ctx, store); err != nil {
		return err
	}
	p.seedRate = float64(p.sessions) / time.Since(begun).Seconds()
	p.perSession = (p.size() - before) / int64(p.sessions)
	return nil
}

// refreshToken is the first one of a session.
func (p *place) refreshToken(session int) (string, error) { return p.seeded.RefreshToken(session) }

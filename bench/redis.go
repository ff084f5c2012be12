package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server of the bench's own, which loses nothing of what
// it has acknowledged: the same promise as that of the SQLite file.
type redisServer struct {
	*process
	dir    string
	client *redis.Client
}

func startRedis(dir string) (*redisServer, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is missing: apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	cmd := exec.Command(binary, "--port", strconv.Itoa(addr.Port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &redisServer{process: &process{cmd: cmd, url: "redis://" + addr.String()}, dir: dir, client: redis.NewClient(&redis.Options{Addr: addr.String()})}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = r.client.Ping(context.Background()).Err(); err == nil {
			return r, nil
		}
		if time.Now().After(end) {
			r.stop()
			return nil, fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

func (r *redisServer) stop() {
	r.client.Close()
	r.process.stop()
}

// set changes a setting.
func (r *redisServer) set(name, value string) error {
	return r.client.ConfigSet(context.Background(), name, value).Err()
}

// info is a number that Redis tells of itself.
func (r *redisServer) info(section, name string) float64 {
	text, err := r.client.Info(context.Background(), section).Result()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n
		}
	}
	return 0
}

// calls is how many commands it has carried out for clients: a script is one,
// what the script does is not counted.
func (r *redisServer) calls() (total float64) {
	text, err := r.client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":calls=")
		if outside := strings.HasPrefix(name, "cmdstat_evalsha") || name == "cmdstat_wait" || name == "cmdstat_ping"; outside {
			text, _, _ := strings.Cut(rest, ",")
			n, _ := strconv.ParseFloat(text, 64)
			total += n
		}
	}
	return total
}

// log is how many bytes its files have.
func (r *redisServer) log() (n int64) {
	files, _ := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*"))
	for _, f := range files {
		n += sizeOf(f)
	}
	return n
}

// deployRedis fills a Redis that writes its log as it likes, and has it lose
// nothing from then on.
func deployRedis(dir, binary string, s setup) (*deployment, error) {
	dir, err := os.MkdirTemp(dir, "redis-")
	if err != nil {
		return nil, err
	}
	r, err := startRedis(dir)
	if err != nil {
		return nil, err
	}
	if err = r.set("appendfsync", "no"); err == nil {
		before := r.info("memory", "used_memory")
		var p *place
		if p, err = newPlace(dir, binary, r.url, s); err == nil {
			p.perSession = int64(r.info("memory", "used_memory")-before) / int64(s.sessions)
			if err = r.set("appendfsync", "always"); err == nil {
				return deploy(&deployment{store: "Redis", place: p, redis: r})
			}
		}
	}
	r.stop()
	return nil, err
}

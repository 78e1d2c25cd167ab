package main

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const etcdStartTimeout = 30 * time.Second

// etcdServer is an etcd in this process, reachable through a unix socket.
type etcdServer struct {
	*embed.Etcd
	url string
}

// startEtcd starts etcd with its data in dir and its sockets in a directory with a short name, as
// the path of a socket may have about a hundred bytes only.
func startEtcd(ctx context.Context, dir, sockets string) (*etcdServer, error) {
	client := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "client.sock")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "peer.sock")}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	// The advertised addresses stay as they are: they have to name a port, and nobody dials them in a
	// cluster of one.
	cfg.ListenClientUrls, cfg.ListenPeerUrls = []url.URL{client}, []url.URL{peer}
	cfg.LogLevel = "fatal"   // errors are returned; what is left is noise about closed sockets at the end
	cfg.UnsafeNoFsync = true // the data has to survive our end, not the machine's
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "5m"
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return &etcdServer{etcd, client.String()}, nil
	case err = <-etcd.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(etcdStartTimeout):
		err = errors.New("not ready in time")
	}
	etcd.Close()
	return nil, err
}

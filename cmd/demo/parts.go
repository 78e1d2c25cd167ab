package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// botLogin is the name under which Shepherd's App writes.
const botLogin = "shepherd[bot]"

// demo is everything that a day needs.
type demo struct {
	*terminal
	options options

	dir      string // all files of the demo but those of PostgreSQL and the control planes
	dsn      string
	db       *pgx.Conn
	clusters []cluster // test-1 and prod-1, which may be one control plane
	stage    *stage.Stage
	cfg      config.Config
	server   *server
	pull     *forgetest.Pull

	stops []func() error // undo what was started, first one last
}

// cluster is a control plane under the name by which the platform knows it.
type cluster struct {
	name, environment string
	kube              *kubetest.Cluster
	kubeconfig        string // a file
}

func (d *demo) onStop(f func() error) { d.stops = append(d.stops, f) }

// stop ends everything that was started.
func (d *demo) stop() error {
	if len(d.stops) == 0 {
		return nil
	}
	d.lines("", "")
	done := d.step("stop everything and remove " + d.dir)
	var errs []error
	for _, stop := range slices.Backward(d.stops) {
		errs = append(errs, stop())
	}
	d.stops = nil
	err := errors.Join(errs...)
	done(err)
	return err
}

func (d *demo) makeDir() (err error) {
	// A cluster of somebody's own is for tests, which clean up behind them; the demo does not.
	if err := os.Unsetenv("SHEPHERD_TEST_KUBECONFIG"); err != nil {
		return err
	}
	if _, err := os.Stat(d.options.shepherd); err != nil {
		return fmt.Errorf("find the server's program: %w", err)
	}
	if d.dir, err = os.MkdirTemp("", "shepherd-demo-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	d.onStop(func() error { return os.RemoveAll(d.dir) })
	return nil
}

func (d *demo) startPostgres(ctx context.Context) ([]string, error) {
	server, err := pgtest.Start(ctx, "")
	if err != nil {
		return nil, err
	}
	d.onStop(server.Stop)
	if d.dsn, err = server.CreateDatabase(ctx, "shepherd"); err != nil {
		return nil, err
	}
	if d.db, err = pgx.Connect(ctx, d.dsn); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	d.onStop(func() error { return d.db.Close(context.Background()) })
	return []string{d.address()}, nil
}

// startCluster starts a control plane, or takes the one that there is when there is to be one for both.
func (d *demo) startCluster(name, environment string) func(*demo, context.Context) ([]string, error) {
	return func(_ *demo, ctx context.Context) ([]string, error) {
		if d.options.clusters == 1 && len(d.clusters) > 0 {
			return d.addCluster(name, environment, d.clusters[0].kube)
		}
		kube, err := kubetest.Start(ctx, kubetest.Options{KubeVirt: true})
		if err != nil {
			return nil, err
		}
		d.onStop(kube.Stop)
		return d.addCluster(name, environment, kube)
	}
}

func (d *demo) addCluster(name, environment string, kube *kubetest.Cluster) ([]string, error) {
	c := cluster{name: name, environment: environment, kube: kube, kubeconfig: filepath.Join(d.dir, name+".kubeconfig")}
	if err := os.WriteFile(c.kubeconfig, kube.Kubeconfig(), 0o600); err != nil {
		return nil, fmt.Errorf("write the kubeconfig: %w", err)
	}
	d.clusters = append(d.clusters, c)
	return []string{kube.Config().Host}, nil
}

func (d *demo) startForge(context.Context) (_ []string, err error) {
	if d.stage, err = stage.Set(stage.Options{Dir: filepath.Join(d.dir, "forge")}); err != nil {
		return nil, err
	}
	d.onStop(d.stage.Forge.Close)
	d.cfg = d.stage.Config(d.dsn, filepath.Join(d.dir, "shepherd"), "127.0.0.1:0")
	return []string{d.stage.Repo.CloneURL()}, d.writeEnviron()
}

// environFile is a shell script that lets people run the server's program as the demo does.
func (d *demo) environFile() string { return filepath.Join(d.dir, "env") }

func (d *demo) writeEnviron() error {
	var script strings.Builder
	for _, pair := range d.stage.Environ(d.cfg) {
		key, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&script, "export %s='%s'\n", key, strings.ReplaceAll(value, "'", `'\''`))
	}
	if err := os.WriteFile(d.environFile(), []byte(script.String()), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// address is the database's, without the password.
func (d *demo) address() string {
	u, err := url.Parse(d.dsn)
	if err != nil {
		return "unknown"
	}
	u.User = url.User(u.User.Username())
	return u.String()
}

// clusterOf is the cluster of an environment.
func (d *demo) clusterOf(environment string) cluster {
	return d.clusters[slices.IndexFunc(d.clusters, func(c cluster) bool { return c.environment == environment })]
}

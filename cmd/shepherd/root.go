package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/config"
)

// version is set by the build.
var version = "devel"

// settings are what every command that needs the server's configuration shares.
type settings struct {
	file    string
	environ map[string]string
}

// newRoot gives the command with all its subcommands. environ is what os.Environ returns.
func newRoot(environ []string) *cobra.Command {
	s := &settings{environ: map[string]string{}}
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		s.environ[key] = value
	}
	root := &cobra.Command{
		Use: "shepherd", Short: "Govern KubeVirt virtual machines through pull requests",
		Version: version, SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVarP(&s.file, "config", "c", s.environ["SHEPHERD_CONFIG"], "configuration file (default $SHEPHERD_CONFIG)")
	root.AddCommand(newServe(s), newMigrate(s), newCluster(s), newRepo(s), newHistory(s), newDoctor(s), newValidate(), newRender(), newPolicy(), newSchema())
	return root
}

func (s *settings) load() (config.Config, error) { return config.Load(s.file, s.environ) }

// logger writes to w as the configuration says.
func logger(cfg config.Config, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return nil, fmt.Errorf("configuration: log.level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch cfg.Log.Format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("configuration: log.format is text or json, not %q", cfg.Log.Format)
}

// Command generate writes the next migration: what is missing between the migrations' schema and the
// ent schema, up and down, computed by Atlas's engine on an empty development database
// (DATABASE_URL, or one that is started for the moment). With -hash it only renews atlas.sum, after
// a migration was written by hand. With -check it writes nothing and fails where something is missing.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/sqltool"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "github.com/jackc/pgx/v5/stdlib"

	entmigrate "kv-shepherd.io/shepherd/ent/migrate"
	"kv-shepherd.io/shepherd/internal/pgtest"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "migrations:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	hash := flags.Bool("hash", false, "renew atlas.sum only")
	check := flags.Bool("check", false, "fail where the ent schema has moved on")
	dir := flags.String("dir", "migrations", "the folder")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := sqltool.NewGooseDir(*dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", *dir, err)
	}
	switch {
	case *hash:
		return renew(folder)
	case *check:
		return diff(ctx, *dir, "", true)
	case flags.NArg() != 1:
		return errors.New("usage: generate [-dir DIR] -hash | -check | NAME")
	}
	return diff(ctx, *dir, flags.Arg(0), false)
}

func renew(folder migrate.Dir) error {
	sum, err := folder.Checksum()
	if err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	return migrate.WriteSumFile(folder, sum)
}

// diff works on a copy of the folder when it only checks.
func diff(ctx context.Context, dir, name string, check bool) error {
	if check {
		tmp, err := os.MkdirTemp("", "migrations")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		if err := os.CopyFS(tmp, os.DirFS(dir)); err != nil {
			return err
		}
		dir, name = tmp, "missing"
	}
	before, err := count(dir)
	if err != nil {
		return err
	}
	if err := writeDiff(ctx, dir, name); err != nil {
		return err
	}
	after, err := count(dir)
	if err != nil {
		return err
	}
	if check && after != before {
		return errors.New("the ent schema has changes without a migration: run go run ./migrations/generate NAME")
	}
	return nil
}

func count(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	return len(entries), err
}

func writeDiff(ctx context.Context, dir, name string) (err error) {
	folder, err := sqltool.NewGooseDir(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	server, err := pgtest.Start(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	dsn, err := server.CreateDatabase(ctx, "atlas")
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	atlas, err := schema.NewMigrate(entsql.OpenDB(dialect.Postgres, db),
		schema.WithDir(folder), schema.WithMigrationMode(schema.ModeReplay),
		schema.WithDialect(dialect.Postgres), schema.WithFormatter(sqltool.GooseFormatter),
		schema.WithDropColumn(true), schema.WithDropIndex(true))
	if err != nil {
		return fmt.Errorf("open Atlas's engine: %w", err)
	}
	if err := atlas.NamedDiff(ctx, name, entmigrate.Tables...); err != nil {
		return fmt.Errorf("compute the difference: %w", err)
	}
	return nil
}

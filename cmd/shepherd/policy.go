package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

const policyHelp = `Test the rules of a platform, without a server.

A platform's rules are the files of platform/policies/: approval rules say how many approvals an
operation needs and from whom, CEL rules deny or warn. A case is a file that says what is asked for and
what has to come of it. "shepherd policy test DIR" runs all cases below DIR.

The rules under test are those of the spec repository that DIR lies in, over the built-in policy.
A typical place is policy-tests/, beside platform/.`

const policyTestHelp = `Run the policy cases below DIR: every file that ends in .txtar.

The rules under test are the built-in policy and the platform/ of the spec repository that DIR lies in,
or the one that --platform names. A server.yaml in DIR says what the server's configuration says
(administrators, allowLoosen), unless a case brings its own.

It ends with 0 when all cases passed, with 1 when one failed or a rule is wrong, and with 2 when a case
could not be read or the command was not understood.`

const smallestCase = `
The smallest case, say small-in-test.txtar:

In test nobody gets a large VM.
-- facts.yaml --
change:
  operation: CREATE_VM
  path: systems/shop/redis/test-shop/01.yaml
  environment: test
  wanted: {template: ubuntu-24.04, size: large}
author: {login: alice, id: 7, roles: [operator]}
size: {name: large, cores: 16}
-- expect.yaml --
verdict: deny
deny: [small-in-test]
`

// exitError is an error for which the program ends with a code of its own.
type exitError struct {
	error
	code int
}

// Unwrap gives the error itself.
func (e exitError) Unwrap() error { return e.error }

// exitCode is what the program ends with.
func exitCode(err error) int {
	var e exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}

// misuse is an error about how a command was called, or what it was given to read.
func misuse(format string, args ...any) error { return exitError{fmt.Errorf(format, args...), 2} }

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Test the platform's rules, without a server", Long: policyHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misuse("there is no command %q: shepherd policy test DIR", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newPolicyTest())
	return cmd
}

func newPolicyTest() *cobra.Command {
	t := policyTest{}
	cmd := &cobra.Command{
		Use: "test DIR", Short: "Run the policy cases below a folder", Long: policyTestHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("give one folder of cases: shepherd policy test DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			t.cmd, t.dir = cmd, args[0]
			return t.run()
		},
	}
	cmd.Flags().StringVar(&t.platform, "platform", "", "checkout of the spec repository whose rules are tested (default the one around DIR)")
	cmd.Flags().BoolVar(&t.update, "update", false, "write verdict.txt of the cases anew, and where nothing is expected yet")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "show what the policy says of every case")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse("%w", err) })
	return cmd
}

// policyTest is one run of shepherd policy test.
type policyTest struct {
	cmd             *cobra.Command
	dir, platform   string
	update, verbose bool

	runner             *policy.CaseRunner
	ok, failed, broken int
}

func (t *policyTest) run() error {
	paths, server, err := findCases(t.dir)
	if err != nil {
		return misuse("%w", err)
	}
	wrong, err := t.load()
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		fmt.Fprint(t.cmd.ErrOrStderr(), smallestCase)
		return misuse("there are no cases below %s: a case is a file that ends in .txtar", t.dir)
	}
	for _, path := range paths {
		if err := t.runCase(path, server); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.cmd.OutOrStdout(), "%s: %d ok, %d failed, %d unreadable\n", plural(len(paths), "case"), t.ok, t.failed, t.broken)
	switch {
	case t.broken > 0:
		return misuse("%s cannot be read", plural(t.broken, "case"))
	case t.failed > 0:
		return fmt.Errorf("%s failed", plural(t.failed, "case"))
	case wrong:
		return errors.New("the platform's rules have errors")
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// load reads the rules under test and says which they are. wrong is true when they have errors and can
// be run all the same.
func (t *policyTest) load() (wrong bool, err error) {
	repository, err := t.repository()
	if err != nil {
		return false, misuse("%w", err)
	}
	files, problems, what := map[string][]byte{}, domain.Problems(nil), "the built-in policy alone: there is no platform/ around "+t.dir
	if repository != "" {
		if files, problems, err = readPlatform(repository); err != nil {
			return false, misuse("%w", err)
		}
		what = fmt.Sprintf("the built-in policy and %s of %s", plural(countPolicies(files), "policy file"), filepath.ToSlash(filepath.Join(repository, "platform")))
	}
	runner, found, err := policy.NewCaseRunner(files)
	if err != nil {
		return false, err
	}
	problems = append(problems, found...)
	printProblems(t.cmd, problems)
	if runner == nil {
		return false, errors.New("the platform cannot be read")
	}
	t.runner = runner
	fmt.Fprintln(t.cmd.OutOrStdout(), "testing", what)
	return problems.Blocking(), nil
}

// findCases lists the cases below a folder and reads its server.yaml.
func findCases(dir string) (paths []string, server policy.CaseServer, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".txtar") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, server, fmt.Errorf("read the cases: %w", err)
	}
	slices.Sort(paths)
	path := filepath.Join(dir, "server.yaml")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return paths, server, nil
	}
	if err != nil {
		return nil, server, fmt.Errorf("read the server's part: %w", err)
	}
	server, err = policy.ParseCaseServer(path, data)
	return paths, server, err
}

// runCase runs one case and says what came of it. The error is about the machine, not about the case.
func (t *policyTest) runCase(path string, server policy.CaseServer) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read a case: %w", err)
	}
	c, result, err := t.judge(path, data, server)
	var unreadable policy.CaseError
	if errors.As(err, &unreadable) {
		t.broken++
		fmt.Fprintf(t.cmd.OutOrStdout(), "ERROR %s\n", unreadable)
		return nil
	}
	if err != nil {
		return err
	}
	if t.update && c.WantsVerdict() {
		if written := c.WithVerdict(result.Text); string(written) != string(data) {
			if err := os.WriteFile(path, written, 0o600); err != nil {
				return fmt.Errorf("write a case: %w", err)
			}
		}
		if c, err = policy.ParseCase(path, c.WithVerdict(result.Text), server); err != nil {
			return err
		}
	}
	t.tell(c, result)
	return nil
}

// judge reads a case and runs it.
func (t *policyTest) judge(path string, data []byte, server policy.CaseServer) (*policy.Case, policy.CaseResult, error) {
	c, err := policy.ParseCase(path, data, server)
	if err != nil {
		return nil, policy.CaseResult{}, err
	}
	if !c.Expects() && !t.update {
		return nil, policy.CaseResult{}, policy.CaseError{Path: path, Text: "nothing is expected: add a part expect.yaml, or run with --update and read verdict.txt"}
	}
	if c.Request != nil {
		result, err := judgeFiles(t.runner, c)
		return c, result, err
	}
	result, err := t.runner.Run(c)
	return c, result, err
}

func (t *policyTest) tell(c *policy.Case, result policy.CaseResult) {
	out := t.cmd.OutOrStdout()
	failures := c.Failures(result)
	word := "ok   "
	if len(failures) == 0 {
		t.ok++
	} else {
		t.failed++
		word = "FAIL "
	}
	name, err := filepath.Rel(t.dir, c.Path)
	if err != nil {
		name = c.Path
	}
	fmt.Fprintf(out, "%s %s: %s\n", word, strings.TrimSuffix(filepath.ToSlash(name), ".txtar"), c.About)
	for _, line := range failures {
		fmt.Fprintf(out, "      %s\n", line)
	}
	if t.verbose || len(failures) > 0 {
		fmt.Fprintln(out, "      what the policy says:")
		for line := range strings.Lines(result.Text) {
			fmt.Fprintf(out, "        %s", line)
		}
	}
}

package gitops

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fleet is a large spec repository: systems of 10 services of up to 50 VMs, and a platform folder.
type fleet struct {
	o          *origin
	base, head SHA // head changes one VM
}

func vmPath(i int) string {
	return fmt.Sprintf("systems/sys%03d/svc%d/prod-sys%03d/%02d.yaml", i/500, i/50%10, i/500, i%50+1)
}

func vmSpec(i int) string {
	return fmt.Sprintf("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n"+
		"  template: ubuntu-24.04\n  size: medium\n  disk: %dGi\n  power: running\n  reason: replica %d of the service\n", 50+i%100, i)
}

func newFleet(tb testing.TB, vms int) *fleet {
	tb.Helper()
	o := newOrigin(tb)
	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriter(w)
		fmt.Fprint(b, "commit refs/heads/main\ncommitter Bob <bob@example.org> 1700000000 +0000\ndata 5\nfleet\n")
		for i := range vms {
			s := vmSpec(i)
			fmt.Fprintf(b, "M 100644 inline %s\ndata %d\n%s\n", vmPath(i), len(s), s)
		}
		for i := range 200 {
			fmt.Fprintf(b, "M 100644 inline platform/namespaces/ns%d.yaml\ndata 30\n%-30d\n", i, i)
		}
		w.CloseWithError(b.Flush())
	}()
	git(tb, o.dir, r, "fast-import", "--quiet")
	f := &fleet{o: o, base: SHA(o.git("rev-parse", "main"))}
	f.head = f.change(vms/2, "running", f.base)
	o.ref(PullRef(1), f.head)
	o.git("repack", "-adfq", "--window=10")
	return f
}

// change commits one VM anew, on top of a commit.
func (f *fleet) change(vm int, reason string, parent SHA) SHA {
	f.o.tb.Helper()
	r, w := io.Pipe()
	go func() {
		s := vmSpec(vm) + "# " + reason + "\n"
		_, err := fmt.Fprintf(w, "commit refs/test/tmp\ncommitter Bob <bob@example.org> 1700000100 +0000\ndata 6\nchange\nfrom %s\nM 100644 inline %s\ndata %d\n%s\n",
			parent, vmPath(vm), len(s), s)
		w.CloseWithError(err)
	}()
	git(f.o.tb, f.o.dir, r, "fast-import", "--quiet", "--force")
	return SHA(f.o.git("rev-parse", "refs/test/tmp"))
}

func eachFleet(b *testing.B, run func(b *testing.B, f *fleet)) {
	for _, vms := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("vms=%d", vms), func(b *testing.B) {
			f := newFleet(b, vms)
			b.ResetTimer()
			run(b, f)
		})
	}
}

// BenchmarkRead measures every question on one mirror, and git's own answer to the same.
func BenchmarkRead(b *testing.B) {
	eachFleet(b, func(b *testing.B, f *fleet) {
		m := mirrored(b, f.o, main, PullRef(1))
		diff := func(m *Mirror) error {
			c, err := m.Diff(b.Context(), f.base, f.head)
			if len(c) != 1 {
				b.Fatal(c, err)
			}
			return err
		}
		for name, ask := range map[string]func(m *Mirror) error{
			"diff": diff,
			"diff-git": func(m *Mirror) error {
				cmd := exec.Command("git", "diff-tree", "-r", "--no-renames", "--raw", string(f.base), string(f.head))
				cmd.Dir = m.opt.Dir
				return cmd.Run()
			},
			"merge-base": func(m *Mirror) error {
				_, err := m.MergeBase(b.Context(), f.base, f.head)
				return err
			},
			"read": func(m *Mirror) error {
				_, _, err := m.Read(b.Context(), f.head, vmPath(77), 1<<16)
				return err
			},
			"read-tree-platform": func(m *Mirror) error {
				_, err := m.ReadTree(b.Context(), f.head, "platform", 1000, 1<<20)
				return err
			},
			"list-all": func(m *Mirror) error {
				_, err := m.List(b.Context(), f.head, "", 1_000_000)
				return err
			},
		} {
			b.Run(name, func(b *testing.B) { benchAsk(b, m, ask) })
		}
		b.Run("read-parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, _, err := m.Read(b.Context(), f.head, vmPath(i%5000), 1<<16); err != nil {
						b.Error(err)
					}
				}
			})
		})
		benchCold(b, m, diff)
	})
}

func benchAsk(b *testing.B, m *Mirror, ask func(m *Mirror) error) {
	for b.Loop() {
		if err := ask(m); err != nil {
			b.Fatal(err)
		}
	}
}

// benchCold measures opening, and a first question after it.
func benchCold(b *testing.B, m *Mirror, ask func(m *Mirror) error) {
	again := func() {
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			again()
			b.StartTimer()
			m = reopen(b, m.opt)
		}
	})
	b.Run("diff-cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			again()
			m = reopen(b, m.opt)
			b.StartTimer()
			if err := ask(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	again()
}

// mergedHistory is a branch of n merged pull requests, and a pull request off each.
func mergedHistory(b *testing.B, o *origin, n int) (branch, pulls []SHA) {
	b.Helper()
	var in bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&in, "commit refs/heads/pull\nmark :%d\ncommitter B <b@b> %d +0000\ndata 1\np\n", 2*i-1, 1_700_000_000+60*i)
		if i > 1 {
			fmt.Fprintf(&in, "from :%d\n", 2*i-2)
		}
		fmt.Fprintf(&in, "commit %s\nmark :%d\ncommitter B <b@b> %d +0000\ndata 1\nm\n", main, 2*i, 1_700_000_030+60*i)
		if i > 1 {
			fmt.Fprintf(&in, "from :%d\nmerge :%d\n", 2*i-2, 2*i-1)
		}
	}
	marks := filepath.Join(b.TempDir(), "marks")
	git(b, o.dir, &in, "fast-import", "--quiet", "--export-marks="+marks)
	for i, sha := range readMarks(b, marks, 2*n) {
		if i%2 == 0 {
			pulls = append(pulls, sha)
		} else {
			branch = append(branch, sha)
		}
	}
	return branch, pulls
}

// BenchmarkHistory has a branch of 10,000 merges and a pull request that is 2,500 merges behind.
func BenchmarkHistory(b *testing.B) {
	o := newOrigin(b)
	branch, pulls := mergedHistory(b, o, 10_000)
	tip := branch[len(branch)-1]
	m := mirrored(b, o, main)
	for _, cold := range []bool{true, false} {
		b.Run(fmt.Sprintf("merge-base-far-behind/cold=%v", cold), func(b *testing.B) {
			benchAsk(b, m, func(m *Mirror) error {
				if cold {
					m.graph.clear()
				}
				_, err := m.MergeBase(b.Context(), tip, pulls[7500])
				return err
			})
		})
		b.Run(fmt.Sprintf("rewritten/cold=%v", cold), func(b *testing.B) {
			benchAsk(b, m, func(m *Mirror) error {
				if cold {
					m.graph.clear()
				}
				if _, err := m.FirstParents(b.Context(), tip, branch[len(branch)-2], 10); !errors.Is(err, ErrRewritten) {
					return fmt.Errorf("not rewritten: %w", err)
				}
				return nil
			})
		})
	}
}

// reopen opens a mirror that the benchmark closes itself.
func reopen(b *testing.B, opt Options) *Mirror {
	b.Helper()
	m, err := Open(b.Context(), opt)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkFetch measures the first clone, a fetch of one new commit, and one with nothing new.
func BenchmarkFetch(b *testing.B) {
	eachFleet(b, func(b *testing.B, f *fleet) {
		s := serve(b, f.o)
		b.Run("clone", func(b *testing.B) {
			for b.Loop() {
				fetch(b, open(b, s), main)
			}
		})
		b.Run("clone-git", func(b *testing.B) {
			for b.Loop() {
				git(b, ".", nil, "clone", "-q", "--bare", s.url(), filepath.Join(b.TempDir(), "x"))
			}
		})
		m := open(b, s)
		fetch(b, m, main, PullRef(1))
		b.Run("nothing-new", func(b *testing.B) {
			for b.Loop() {
				fetch(b, m, main, PullRef(1))
			}
		})
		b.Run("nothing-new-20000-pulls", func(b *testing.B) {
			var refs strings.Builder
			for n := range 20_000 {
				fmt.Fprintf(&refs, "create %s %s\n", PullRef(1000+n), f.base)
			}
			git(b, f.o.dir, strings.NewReader(refs.String()), "update-ref", "--stdin")
			f.o.git("pack-refs", "--all")
			for b.Loop() {
				fetch(b, m, main, PullRef(1))
			}
		})
		n := 0
		b.Run("one-commit", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				n++
				f.o.ref(PullRef(n), f.change(n, time.Now().String(), f.base))
				b.StartTimer()
				fetch(b, m, PullRef(n))
			}
			packs, size := m.Size()
			b.ReportMetric(float64(packs), "packs")
			b.ReportMetric(float64(size), "bytes")
		})
	})
}

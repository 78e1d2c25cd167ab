package gitops

import (
	"bufio"
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
		dir := m.opt.Dir
		b.Run("open", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				m = reopen(b, m.opt)
			}
		})
		b.Run("diff", func(b *testing.B) {
			for b.Loop() {
				if c, err := m.Diff(b.Context(), f.base, f.head); err != nil || len(c) != 1 {
					b.Fatal(c, err)
				}
			}
		})
		b.Run("diff-cold", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				_ = m.Close()
				m = reopen(b, m.opt)
				b.StartTimer()
				if c, err := m.Diff(b.Context(), f.base, f.head); err != nil || len(c) != 1 {
					b.Fatal(c, err)
				}
			}
		})
		b.Run("diff-git", func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command("git", "diff-tree", "-r", "--no-renames", "--raw", string(f.base), string(f.head))
				cmd.Dir = dir
				if out, err := cmd.Output(); err != nil || len(out) == 0 {
					b.Fatal(err)
				}
			}
		})
		b.Run("merge-base", func(b *testing.B) {
			for b.Loop() {
				if _, err := m.MergeBase(b.Context(), f.base, f.head); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read", func(b *testing.B) {
			for b.Loop() {
				if _, _, err := m.Read(b.Context(), f.head, vmPath(77), 1<<16); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read-tree-platform", func(b *testing.B) {
			for b.Loop() {
				if _, err := m.ReadTree(b.Context(), f.head, "platform", 1000, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read-parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, _, err := m.Read(b.Context(), f.head, vmPath(i%5000), 1<<16); err != nil {
						b.Error(err)
					}
				}
			})
		})
		_ = m.Close()
	})
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

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

func newRender() *cobra.Command {
	var dir, class string
	cmd := &cobra.Command{
		Use: "render FILE...", Short: "Print the objects that VMs' files make, without a server or a cluster", Args: cobra.MinimumNArgs(1),
		Long: "Print the Kubernetes objects that the files of VMs make with the platform of a checkout, as they would be made of new VMs\n" +
			"now: the active version of the template, the size as it stands. A merge adds who asked and why as annotations. What is\n" +
			"wrong is said with file and line. Files are named by their path in the checkout, as in systems/shop/redis/test-shop/01.yaml.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, problems, err := readCheckout(dir)
			if err != nil {
				return err
			}
			platform, found := spec.LoadPlatform(c.platform)
			r := offline{checkedOut: c, platform: platform, class: class, problems: append(problems, found...)}
			var out []render.Manifest
			for _, path := range args {
				out = append(out, r.render(filepath.ToSlash(filepath.Clean(path)))...)
			}
			printProblems(cmd, r.problems)
			if r.problems.Blocking() {
				return errors.New("nothing is printed where something is wrong")
			}
			return printManifests(cmd, out)
		},
	}
	cmd.Flags().StringVarP(&dir, "dir", "C", ".", "the checkout of the spec repository")
	cmd.Flags().StringVar(&class, "storage-class", "", "the storage class of disks that name none (default: the cluster's own)")
	return cmd
}

// offline renders VMs of a checkout.
type offline struct {
	checkedOut
	platform *spec.Platform
	class    string
	problems domain.Problems
}

// render makes the objects of one file; none where something is wrong with it.
func (r *offline) render(path string) []render.Manifest {
	doc := r.machine(path)
	if doc == nil {
		return nil
	}
	in, ok := r.input(doc)
	if !ok {
		return nil
	}
	manifests, problems := render.Render(in)
	for _, p := range problems {
		field := "spec"
		if p.Origin == render.OriginRequest && p.Field != "" {
			field += "." + p.Field
		}
		r.at(doc, field, p.Problem)
	}
	return manifests
}

// at adds a problem at a field of a VM's file.
func (r *offline) at(doc *spec.Document, field string, p domain.Problem) {
	p.Path = doc.Ref.Path()
	p.Line, p.Column = doc.Position(field)
	r.problems = append(r.problems, p)
}

// input is what a VM is made of; not ok, with problems, where the platform lacks some of it.
func (r *offline) input(doc *spec.Document) (in render.Input, ok bool) {
	vm := doc.Spec.(*spec.VirtualMachine)
	ok = true
	needed := func(field string, p *domain.Problem) {
		if p != nil {
			q := *p
			q.Severity, ok = domain.Error, false
			r.at(doc, field, q)
		}
	}
	ns, p := r.platform.Namespace(doc.Ref.Namespace)
	needed("spec", p)
	template, version, p := r.platform.ActiveTemplate(vm.Template)
	needed("spec.template", p)
	size, p := r.platform.Size(vm.Size)
	needed("spec.size", p)
	if !ok {
		return in, false
	}
	return render.Input{
		Ref: doc.Ref, Environment: ns.Environment, KubernetesNamespace: ns.ObjectName(doc.Ref.Namespace), VM: *vm,
		Template: *template, TemplateName: vm.Template, TemplateVersion: version, Size: *size, SizeName: vm.Size,
		Networks: r.networks(), DefaultNetwork: ns.Network, SystemSSHKeys: r.keys(doc.Ref.System), StorageClass: r.class,
	}, true
}

// machine is the document of a VM; nil with a problem where the checkout has none there.
func (r *offline) machine(path string) *spec.Document {
	i := slices.IndexFunc(r.files, func(f governedFile) bool { return f.ref.Path() == path && f.ref.Kind == spec.KindVirtualMachine })
	if i < 0 {
		r.problems = append(r.problems, domain.Problem{
			Code: domain.PathInvalid, Severity: domain.Error, Path: path, Message: "the checkout has no VM there",
			Hint: "name it as in systems/SYSTEM/SERVICE/NAMESPACE/01.yaml, and the checkout with --dir",
		})
		return nil
	}
	doc, problems := spec.Parse(r.files[i].ref, r.files[i].data)
	r.problems = append(r.problems, problems...)
	if problems.Blocking() {
		return nil
	}
	return doc
}

func (r *offline) networks() map[string]spec.Network {
	out := map[string]spec.Network{}
	for name, n := range r.platform.Networks {
		out[name] = *n
	}
	return out
}

// keys are the SSH keys of a system, as far as its file can be read.
func (r *offline) keys(system string) []string {
	for _, f := range r.files {
		if f.ref.Kind != spec.KindSystem || f.ref.System != system {
			continue
		}
		if doc, _ := spec.Parse(f.ref, f.data); doc != nil {
			if s, ok := spec.As[spec.System](doc); ok {
				return s.SSHKeys
			}
		}
	}
	return nil
}

func printManifests(cmd *cobra.Command, manifests []render.Manifest) error {
	for i, m := range manifests {
		text, err := yaml.JSONToYAML(m.JSON)
		if err != nil {
			return fmt.Errorf("write %s %s as YAML: %w", m.Kind, m.Name, err)
		}
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "---")
		}
		fmt.Fprint(cmd.OutOrStdout(), string(text))
	}
	return nil
}

package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// machines are the VMs that the files are about, with the plan that was agreed on last.
func (w *world) machines(ctx context.Context) error {
	asked, err := w.db.Ticket.Query().Where(ticket.PullRequest(w.number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).
		Select(ticket.FieldSubject).Strings(ctx)
	if err != nil {
		return fmt.Errorf("read what #%d asked for: %w", w.number, err)
	}
	rows, err := w.db.VM.Query().Where(vm.NameIn(slices.Concat(w.each(vmName), w.each(consoleOf), asked)...)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the VMs: %w", err)
	}
	var paths []string
	for _, row := range rows {
		paths = append(paths, row.Path)
	}
	kept, err := w.db.Accepted.Query().Where(accepted.IDIn(paths...)).Select(accepted.FieldID).Strings(ctx)
	if err != nil {
		return fmt.Errorf("read the accepted VMs: %w", err)
	}
	var ids []uuid.UUID
	for _, row := range rows {
		ids = append(ids, row.AcceptedPlan)
	}
	plans, err := w.db.Plan.Query().Where(plan.IDIn(ids...)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the VMs' plans: %w", err)
	}
	byID := map[uuid.UUID]*ent.Plan{}
	for _, p := range plans {
		byID[p.ID] = p
	}
	for _, row := range rows {
		m, err := machineOf(row, byID[row.AcceptedPlan])
		if err != nil {
			return err
		}
		m.Removed = !slices.Contains(kept, row.Path)
		w.out.Machines[row.Name] = m
	}
	return w.machineNames(ctx)
}

// machineNames adds the names of other VMs where a console of an unknown one is asked for, so that the
// nearest can be named.
func (w *world) machineNames(ctx context.Context) error {
	known := func(name string) bool { _, ok := w.out.Machines[name]; return ok }
	if !slices.ContainsFunc(w.each(consoleOf), func(name string) bool { return !known(name) }) {
		return nil
	}
	rows, err := w.db.Accepted.Query().Where(accepted.Kind(string(spec.KindVirtualMachine))).Limit(maxNames).
		Select(accepted.FieldID, accepted.FieldName).All(ctx)
	if err != nil {
		return fmt.Errorf("read the VMs' names: %w", err)
	}
	for _, row := range rows {
		w.out.Names[row.Name] = row.ID
	}
	return nil
}

// consoleOf is the VM that an access file is about.
func consoleOf(r spec.Ref) string {
	if r.Kind != spec.KindConsoleAccess {
		return ""
	}
	return r.Name
}

func machineOf(row *ent.VM, p *ent.Plan) (judge.Machine, error) {
	m := judge.Machine{
		Path: row.Path, UID: row.UID, Cluster: row.Cluster, KubernetesNamespace: row.KubernetesNamespace, Status: domain.VMStatus(row.Status),
	}
	if p == nil {
		return m, nil
	}
	m.Plan = &judge.Plan{
		Choice: judge.Choice{Cluster: row.Cluster, StorageClass: p.StorageClass}, Template: p.Template, TemplateVersion: p.TemplateVersion,
		Size: p.Size, Disk: p.Disk, KubernetesNamespace: p.KubernetesNamespace, EffectiveDigest: p.EffectiveDigest,
	}
	var err error
	if m.Plan.TemplateSnapshot, err = snapshot[spec.Template](p.TemplateSnapshot); err != nil {
		return m, fmt.Errorf("read the template of %s: %w", row.Name, err)
	}
	if m.Plan.SizeSnapshot, err = snapshot[spec.InstanceSize](p.SizeSnapshot); err != nil {
		return m, fmt.Errorf("read the size of %s: %w", row.Name, err)
	}
	if len(p.Manifests) > 0 {
		if err := json.Unmarshal(p.Manifests, &m.Plan.Manifests); err != nil {
			return m, fmt.Errorf("read the manifests of %s: %w", row.Name, err)
		}
	}
	return m, nil
}

// snapshot reads what was kept of a document of the platform.
func snapshot[T any](kept map[string]any) (*T, error) {
	if kept == nil {
		return nil, nil
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, json.Unmarshal(data, out)
}

// addresses finds who has the fixed addresses that the files ask for.
func (w *world) addresses(ctx context.Context) error {
	var wanted []string
	for _, f := range w.files {
		ref, governed, problems := spec.ParsePath(f.Path)
		if !governed || problems.Blocking() || ref.Kind != spec.KindVirtualMachine || f.Head == nil {
			continue
		}
		if doc, _ := spec.Parse(ref, f.Head.Data); doc != nil {
			wanted = append(wanted, judge.AddressKeys(spec.Canonical(doc))...)
		}
	}
	for _, p := range w.planned {
		wanted = append(wanted, judge.AddressKeys(p.ModifiedSpec)...)
	}
	if len(wanted) == 0 {
		return nil
	}
	const query = `select id, spec from accepted where kind = 'VirtualMachine' and position('"ip"' in convert_from(spec, 'UTF8')) > 0`
	return w.db.Rows(ctx, query, nil, func(row pgx.Rows) error {
		var path string
		var kept []byte
		if err := row.Scan(&path, &kept); err != nil {
			return fmt.Errorf("read the addresses in use: %w", err)
		}
		for _, key := range judge.AddressKeys(kept) {
			if slices.Contains(wanted, key) {
				w.out.Addresses[key] = path
			}
		}
		return nil
	})
}

// below finds what stands in the way of removing a system or service: accepted files below it, and
// machines that are still on a cluster although git has no file of them any more.
func (w *world) below(ctx context.Context) error {
	for _, f := range w.files {
		ref, governed, problems := spec.ParsePath(f.Path)
		if f.Head != nil || !governed || problems.Blocking() || ref.Kind != spec.KindSystem && ref.Kind != spec.KindService {
			continue
		}
		folder := strings.TrimSuffix(strings.TrimSuffix(f.Path, "service.yaml"), "system.yaml")
		paths, err := w.acceptedBelow(ctx, folder, f.Path)
		if err != nil {
			return err
		}
		w.out.Below[f.Path] = paths
		live, err := w.db.VM.Query().Where(vm.PathHasPrefix(folder), vm.StatusNotIn(vm.StatusDELETING, vm.StatusDELETED)).All(ctx)
		if err != nil {
			return fmt.Errorf("read the machines below %s: %w", f.Path, err)
		}
		for _, m := range live {
			if !slices.Contains(paths, m.Path) && !w.asks(m.Path) {
				w.out.Leftovers[f.Path] = append(w.out.Leftovers[f.Path], m.Name)
			}
		}
	}
	return nil
}

func (w *world) acceptedBelow(ctx context.Context, folder, but string) (paths []string, err error) {
	const query = `select id from accepted where starts_with(id, $1) and id <> $2 order by id`
	err = w.db.Rows(ctx, query, []any{folder, but}, func(row pgx.Rows) error {
		var path string
		if err := row.Scan(&path); err != nil {
			return fmt.Errorf("read what is below %s: %w", folder, err)
		}
		paths = append(paths, path)
		return nil
	})
	return paths, err
}

// asks reports whether the path is among those that are judged.
func (w *world) asks(path string) bool {
	return slices.ContainsFunc(w.files, func(f judge.File) bool { return f.Path == path })
}

// inUse counts what leans on documents of the platform, where such documents change.
func (w *world) inUse(ctx context.Context) error {
	if !slices.ContainsFunc(w.refs, spec.Ref.Platform) {
		return nil
	}
	const query = `
select 'platform/clusters/' || cluster || '.yaml', count(*) from vms where status <> 'DELETED' group by 1
union all
select 'platform/namespaces/' || namespace || '.yaml', count(*) from vms where status <> 'DELETED' group by 1
union all
select 'platform/templates/' || p.template || '/v' || p.template_version || '.yaml', count(*) from vms v join plans p on p.id = v.accepted_plan
  where v.status <> 'DELETED' group by 1
union all
select 'platform/sizes/' || p.size || '.yaml', count(*) from vms v join plans p on p.id = v.accepted_plan where v.status <> 'DELETED' group by 1
union all
select 'platform/networks/' || (n->>'name') || '.yaml', count(*) from accepted a, jsonb_array_elements(convert_from(a.spec, 'UTF8')::jsonb->'networks') n
  where a.kind = 'VirtualMachine' group by 1`
	return w.db.Rows(ctx, query, nil, func(row pgx.Rows) error {
		var path string
		var count int
		if err := row.Scan(&path, &count); err != nil {
			return fmt.Errorf("count what leans on the platform: %w", err)
		}
		w.out.InUse[path] = count
		return nil
	})
}
